"""What a config is estimated to cost."""

from gahr.experiment.estimate import duration, forward_operations
from gahr.models.bfcnn import BFCNN
from gahr.models.strided_unet import StridedUNet
from gahr.models.unet import UNet


def test_operations_are_those_of_the_convolutions_of_any_network():
    assert forward_operations(BFCNN(features=6, num_layers=4), (8, 8, 1)) == 2 * 64 * 9 * (6 + 6 * 6 + 6 * 6 + 6)
    one = 2 * 9 * (1 * 4 + 4 * 4) * 64 + 2 * 9 * (4 * 8 + 8 * 8) * 16  # encoder and middle of a UNet of one block
    decoder = 2 * 8 * 4 * 64 + 2 * 9 * (8 * 4 + 4 * 1) * 64
    assert forward_operations(UNet(features=4, num_blocks=1), (8, 8, 1)) == one + decoder
    full = 25 * (1 * 4 + 4 * 1) + 9 * (4 * 4 + 12 * 4)  # conv_1, conv_9; conv_2, conv_8 of (8 + 4) channels
    half = 9 * (4 * 8 + 3 * 8 * 8) / 4 + 4 * 8 * 8  # conv_3 to conv_6; conv_7, 2 x 2 taps of the 4 x 4 meet a pixel
    assert forward_operations(StridedUNet(features=4), (8, 8, 1)) == 2 * 64 * (full + half)


def test_durations_are_in_the_unit_that_reads_best():
    assert [duration(seconds) for seconds in (0.2, 90, 300, 9_000, 400_000)] == [
        "1 second",
        "90 seconds",
        "5 minutes",
        "2.5 hours",
        "4.6 days",
    ]
