"""Plants known mistakes in a copy of the tree, one at a time, and expects the tests to find each.

    python tests/mutations.py                # all of them
    python tests/mutations.py --only=tails   # those whose names hold a word

Status 0 if every mistake was found. Not one of the tests, since it runs them: by hand, or weekly.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
MUTATIONS = {  # file of gahr, and the tests that must find a mistake in it -> what the mistake does: old text, new text
    ("studies/slopes/analysis.py", "test_slopes_study.py"): {
        "slopes shows training images as test images": ('run.images("test", ', "run.images(run.subset, "),
        "slopes draws the training curve on test images": ("run.images(run.subset, num", 'run.images("test", num'),
        "slopes fits the linear denoiser to test images": ("images(run.subset, wiener", 'images("test", wiener'),
    },
    ("studies/slopes/check.py", "test_slopes_study.py"): {
        "a gap of images that were seen once has a verdict": ("if passes >= _OFTEN else None", "if passes else None"),
    },
    ("studies/shared/nulls.py", "test_nulls.py"): {
        "the null that is linear is fitted to test images": ("images(run.subset, num_fit", 'images("test", num_fit'),
    },
    ("classical/analytic.py", "test_analytic.py"): {
        "images held out are among those that vectors are fitted to": (
            "_principal(rows[~held], rank)",
            "_principal(rows, rank)",
        ),
    },
    ("studies/shuffled.py", "test_basis_studies.py"): {
        "shuffled fits the linear denoiser to test images": ("images(run.subset, num_fit", 'images("test", num_fit'),
    },
    ("studies/shared/local_basis.py", "test_basis_studies.py"): {
        "images and bases are swapped for each other": ("values.T[images]", "values[images]"),
    },
    ("studies/link/check.py", "test_link_study.py"): {
        "link takes another image's basis for an image's own": ("energy[:, of, of]", "energy[:, of, of[::-1]]"),
    },
    ("studies/card/analysis.py", "test_card_study.py"): {
        "card fits the linear denoiser to test images": ("images(run.subset, num_fit", 'images("test", num_fit'),
    },
    ("studies/transition.py", "test_memorization.py"): {
        "transition shows training images as test images": ('images("test", ', "images(pair[0].subset, "),
        "transition draws the training curve on test images": ("images(run.subset, num", 'images("test", num'),
    },
    ("studies/twins/analysis.py", "test_memorization.py"): {
        "twins looks for its samples among test images": ("images(run.subset, number", 'images("test", number'),
    },
    ("data/calpha.py", "test_calpha.py"): {
        "C^alpha draws its coin and its ranges from one key": ("bernoulli(key_coin)", "bernoulli(key_range)"),
    },
    ("data/splits.py", "test_splits.py"): {
        "a and b share an image": ("rest[::-1][:half]", "rest[half - 1 : 2 * half - 1]"),
    },
    ("analysis/integrals.py", "test_identities.py"): {
        "the likelihood has no tails": (" + integrand[0] / 2 + integrand[-1] / 2", ""),
    },
    ("classical/bandlets.py", "test_bandlets.py"): {
        "bandlets split squares for nothing": ("_fours(total) + _SPLIT * square", "_fours(total)"),
        "the basis of a pilot is that of the noisy image": ("noisy if pilot is None else pilot(noisy, sigma)", "noisy"),
    },
    ("classical/patches.py", "test_patches.py"): {
        "sums over images forget that their exponents changed": (" * jnp.exp((most - new) / sigma**2)[..., None]", ""),
    },
    ("classical/shrinkage.py", "test_shrinkage.py"): {
        "SureShrink has no universal limit": ("jnp.sqrt(2 * jnp.log(count))", "jnp.inf"),
    },
    ("classical/spectra.py", "test_spectra.py"): {
        "slopes are those of mean amplitudes": ("line(bins.mean(0))", "line(jnp.sqrt(bins).mean(0))"),
    },
    ("classical/disk_posterior.py", "test_disks_study.py"): {
        "the disk posterior has no -ln(energy) / 2": ("- jnp.log(energy) / 2", ""),
    },
    ("denoiser.py", "test_denoiser.py"): {
        "the residual has the wrong sign": ("return noisy - self.model", "return noisy + self.model"),
    },
    ("objectives/denoising.py", "test_objectives.py"): {
        "the weights are 1 / sigma in place of 1 / sigma^2": ("lambda sigma: sigma**-2,", "lambda sigma: sigma**-1,"),
    },
    ("training.py", "test_training.py"): {
        "training meets the same noise at every step": ("jax.random.fold_in(key, state.step)", "key"),
    },
    ("sampling/driver.py", "test_samplers.py"): {
        "the noise of a sample depends on its chunk": (
            "(key, first + jnp.arange(rows))",
            "(key, first + jnp.arange(rows) % chunk)",
        ),
    },
    ("sampling/edm.py", "test_scheduled_samplers.py"): {
        "the last level has noise added, which no step removes": ("gains.at[-1].set(0.0)", "gains"),
        "the start has less noise than its level": ("jnp.hypot(levels[0], noise[0])", "levels[0]"),
    },
    ("sampling/reverse_diffusion.py", "test_scheduled_samplers.py"): {
        "a step to 0 adds noise": ("jnp.where(now.after > 0, noise, 0)", "noise"),
    },
    ("sampling/constraint.py", "test_inverse.py"): {
        "the start ignores what was observed": ("inner.images + moved", "inner.images"),
    },
    ("experiment/loop.py", "test_pipeline.py"): {
        "no checkpoint is written before the end": ("leave or step == next_save", "leave"),
    },
    ("experiment/build.py", "test_pipeline.py"): {
        "the last parameters are exported, not their average": ("if state.average is None else state.average", ""),
    },
}


def listed(only: str = "") -> list[tuple[str, str, str, str, str]]:
    """Those whose names hold `only`, as (name, file, tests, old text, new text)."""
    return [
        (name, f"gahr/{file}", f"tests/{tests}", old, new)
        for (file, tests), found in MUTATIONS.items()
        for name, (old, new) in found.items()
        if only in name
    ]


def stale(only: str = "") -> list[str]:
    """The mutations, of those whose names hold `only`, whose old text does not occur just once."""
    return [name for name, file, _, old, _ in listed(only) if (ROOT / file).read_text().count(old) != 1]


def status(copy: Path, *tests: str) -> int:
    """Exit status of pytest in a copy of the tree."""
    line = [sys.executable, "-m", "pytest", "-n", "0", "-x", "-q", "-p", "no:cacheprovider", *tests]
    environment = os.environ | {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(line, cwd=copy, env=environment, stdout=subprocess.DEVNULL, check=False).returncode


def main() -> None:
    """Try the mutations that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="part of the names of those to try")
    only = parser.parse_args().only
    chosen = listed(only)
    if not chosen or stale(only):
        sys.exit(f"the old text is not there just once: {stale(only)}" if chosen else f"no name holds {only!r}")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "gahr"
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".git", ".venv*", "*cache*", "runs"))
        start, missed = time.monotonic(), 0
        together = sorted({tests for _, _, tests, _, _ in chosen})
        if status(copy, *together):
            sys.exit(f"they fail without any mutation: {' '.join(together)}")
        for i, (name, file, tests, old, new) in enumerate(chosen, 1):
            text = (copy / file).read_text()
            (copy / file).write_text(text.replace(old, new))
            found = status(copy, tests)
            (copy / file).write_text(text)
            missed += found != 1
            elapsed = time.monotonic() - start
            left = elapsed / (i + 1) * (len(chosen) - i)  # the run without mutations counts as one
            verdict = {0: "NOT CAUGHT", 1: "caught"}.get(found, f"NOT TRIED, pytest ended with status {found}")
            print(f"{i}/{len(chosen)} {name}: {verdict} | {elapsed:.0f} s, ETA {left:.0f} s", flush=True)
    sys.exit(missed > 0)


if __name__ == "__main__":
    main()
