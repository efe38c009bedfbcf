"""The slopes study on curves made by hand."""

import numpy as np

from gahr.studies import slopes


def test_the_identity_is_held_against_the_slope_of_the_mean_mse():
    levels = np.linspace(0, 34, 18)
    curves = np.stack([levels, np.full(18, 60.0)])  # mse sigma^2, and one so small that only the mean PSNR sees it
    arrays = {"input_psnr": levels, "runs": np.array(["net"]), "net/alpha": 3.0, "net/background_alpha": 3.0}
    arrays |= {f"net/{kind}": curves for kind in ("test", "train", "wiener")}
    arrays |= {"net/identity": np.linspace(1.2, 1.0, 18)}
    arrays |= {f"net/{kind}": np.zeros(2) for kind in ("homogeneity_error", "linearity_error")}
    checks = {check.name: check for check in slopes.check(arrays)}
    assert checks["net: slope of the network, 20-34 dB"].measured.startswith("0.500")
    line = checks["net: slope from |J|^2 / tr J, 20-34 dB"]
    assert line.theory == "slope of the mean mse 1.00 to 1.00"
    assert line.measured == "1.00 to 1.08"
