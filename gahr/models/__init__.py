"""Networks: `model.apply(variables, noisy, train=False)` is the residual y - D(y)."""

from gahr.models.bfcnn import BFCNN
from gahr.models.conditional_unet import ConditionalUNet
from gahr.models.perceptron import Perceptron
from gahr.models.strided_unet import StridedUNet
from gahr.models.unet import UNet

MODELS = {
    "unet": UNet,
    "bfcnn": BFCNN,
    "strided_unet": StridedUNet,
    "conditional_unet": ConditionalUNet,
    "perceptron": Perceptron,
}
