"""A consistency model beside the flow it replaces (Song et al. 2023, arXiv:2303.01469).

    python launch/main.py --config configs/consistency.py     # C^alpha images of 16x16, a denoiser, then its pupil
    python launch/main.py --config configs/consistency.py:weights=calpha3_teacher+calpha3_student
    python launch/main.py --config configs/consistency.py:data=file,path=digits.npz
    python launch/main.py --config configs/consistency.py:method=distil_blind     # from a bias-free, blind denoiser
    python launch/main.py --config configs/consistency.py:scale=smoke     # seconds

Two runs: "teacher", a denoiser, and "student". Arguments, after the colon:
  method    how the student learns: ect (easy tuning, from the teacher's weights), continuous (the same without pairs of
            levels), ict or ct (from images alone), distil (from the teacher's ODE) or distil_blind (the same, of a
            teacher that is not told sigma)
  data      calpha or file
  path      file of images that launch/prepare.py made, for data=file alone
  num_test  images of a file that are kept for testing, at most
  set_size  images of training, of a file at most half of those that are left; left out, 100,000, of a file 4,000
  size      sides of the images, pixels, an even number
  alpha     exponent of the C^alpha images, for data=calpha alone
  weights   a teacher and a consistency model that are trained already, joined by "+", in place of all of the above
  level     noise level of the Jacobians, image units: 0.5 is the report's sigma = 1 for images in [-1, 1]; 0.25, about
            one standard deviation of the pixels, its other reading
  scale     smoke, laptop, hours, gpu or paper; left out, gpu where there is an accelerator, else laptop
  seed      of images, initial values and noise
"""

from gahr.config import TRAINED, base, calpha, intensities, parse_arg, refuse_given
from gahr.names import pick

SIZES = {"smoke": (8, 8, 1), "laptop": (16, 24, 1), "hours": (16, 48, 1), "gpu": (40, 64, 2), "paper": (80, 64, 3)}
STEPS = {"smoke": (20, 20), "laptop": (4_000, 6_000), "hours": (10_000, 20_000)}  # of teacher and student
LONG = (100_000, 200_000)
STUDENTS = {  # method -> pairs of levels, and whether the student starts from the teacher's weights and follows its ODE
    "ect": ("ect", True, False),
    "continuous": (None, True, False),
    "ict": ("ict", False, False),
    "ct": ("ct", False, False),
    "distil": ("ect", True, True),
    "distil_blind": ("ect", False, True),
}
OF_TRAINING = ("method", "data", "path", "num_test", "set_size", "size", "alpha")
FILE_SET = 4_000  # training images of a file
CALPHA = dict(mean=0.5, sigma_data=0.31)  # of the pixels of C^alpha images, of any alpha from 1 to 5 within 0.03
SIGMA_MIN, SIGMA_MAX, BLIND_MAX = 0.002, 20.0, 1.0  # a blind teacher has seen sigma up to 1
ANALYSIS = {"smoke": dict(num_samples=40, num_levels=4, num_fit=64)}
SVD = {"smoke": dict(num_images=2, num_fit=64, num_memorized=16)}
STEERING = {"smoke": dict(num_noises=4, num_fit=64)}
# What a first trial of this size reached, set before these runs; the lead, since the linear flow reaches the first two.
MARKS = dict(
    consistency=dict(agreement=0.84, agreement_db=18.0, lead_db=2.0, kurtosis_share=0.5, similarity_excess=0.05),
    consistency_svd=dict(swapped=1.2, shared=0.1),
    steering=dict(additivity=0.1),
)


def get_config(arg=None):
    given = arg
    arg = parse_arg(
        arg,
        method="ect",
        data="calpha",
        path="",
        num_test=64,
        set_size=0,
        size=0,
        alpha=3.0,
        weights="",
        level=0.5,
        scale="auto",
        seed=0,
    )
    if arg["weights"]:
        refuse_given(given, *OF_TRAINING, belongs_to=TRAINED)
        return _of_trained(arg)
    pairs, starts, follows = pick("method", STUDENTS, arg["method"])
    pick("data", dict.fromkeys(("calpha", "file")), arg["data"])
    if arg["data"] == "file":
        refuse_given(given, "alpha", belongs_to="data=calpha")
        if not arg["path"]:
            raise ValueError("data=file needs path=")
        data, pixels = dict(name="file", path=arg["path"], num_test=arg["num_test"]), intensities(arg["path"])
    else:
        refuse_given(given, "path", "num_test", belongs_to="data=file")
        data, pixels = next(iter(calpha([arg["alpha"]]).values())), CALPHA
    config = base({"teacher": data, "student": data}, scale=arg["scale"], seed=arg["seed"])
    size, features, num_blocks = SIZES[config.scale]
    blind, steps = arg["method"] == "distil_blind", STEPS.get(config.scale, LONG)
    most = BLIND_MAX if blind else SIGMA_MAX
    network = dict(name="conditional_unet", features=features, num_blocks=num_blocks, sigma_min=SIGMA_MIN, **pixels)
    levels = dict(sigma_min=SIGMA_MIN, sigma_max=most)
    learned = dict(name="consistency", pairs=pairs, **levels) | ({"teacher": "teacher"} if follows else {})
    if pairs == "ect":
        learned |= dict(stage_steps=max(1, steps[1] // 8))
    elif pairs is None:
        learned = dict(name="continuous", warmup=steps[1] // 4, sigma_data=pixels["sigma_data"], **levels)
    runs = config.runs.to_dict()
    for name, number in zip(("teacher", "student"), steps, strict=True):
        run = runs[name]
        run["data"] |= dict(size=arg["size"] or size)
        run["set_size"] = arg["set_size"] or (FILE_SET if arg["data"] == "file" else run["set_size"])
        optim = dict(name="radam", batch_size=64, num_steps=number, schedule="cosine", peak=1e-3, average=0.999)
        if config.scale == "smoke":
            optim |= dict(batch_size=8, average=0.9)
        if name == "student":
            run |= dict(model=network, objective=learned, optim=optim) | (dict(start="teacher") if starts else {})
        elif not blind:
            law = dict(law="lognormal", log_mean=-1.7, log_sd=1.2, weighting="edm")
            run |= dict(model=network, objective=dict(name="denoising", **law), optim=optim)
    config.runs = runs
    return _with_studies(config, most, level=arg["level"])


def _of_trained(arg):
    config = base({}, scale=arg["scale"], seed=arg["seed"], weights=arg["weights"], told=True)
    runs = {run.objective.name == "consistency": run for run in config.runs.values()}
    if len(config.runs) != 2 or len(runs) != 2:
        raise ValueError("weights: a consistency model and its teacher are needed, two networks")
    student = runs[True]
    config.runs = dict(teacher=runs[False], student=student)
    return _with_studies(config, student.objective.sigma_max, level=arg["level"])


def _with_studies(config, most, *, level):
    blind, levels = most == BLIND_MAX, dict(sigma_min=SIGMA_MIN, sigma_max=most)
    analysis = ANALYSIS.get(config.scale, {}) | levels | dict(middle=0.2 if blind else 0.4)
    local = SVD.get(config.scale, {}) | dict(sigma=level, sigma_min=SIGMA_MIN)
    steered = STEERING.get(config.scale, {}) | dict(sigma_min=SIGMA_MIN) | (dict(sigma=most) if blind else {})
    marks = MARKS if config.scale != "smoke" else {study: {} for study in MARKS}
    config.study = dict(
        consistency=dict(analysis=analysis, marks=marks["consistency"]),
        consistency_svd=dict(analysis=local, marks=marks["consistency_svd"]),
        steering=dict(analysis=steered, marks=marks["steering"]),
    )
    return config
