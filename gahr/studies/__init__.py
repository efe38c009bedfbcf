"""One module or folder per figure: analyze -> arrays, check -> theory beside measurement, draw -> Figure."""

from gahr.studies import (
    bases,
    card,
    consistency,
    disks,
    eigenbasis,
    inverse,
    langevin,
    learning,
    lowdim,
    samplers,
    shuffled,
    slopes,
    transition,
    twins,
)

STUDIES = {
    "bases": bases.STUDY,
    "card": card.STUDY,
    "consistency": consistency.STUDY,
    "disks": disks.STUDY,
    "eigenbasis": eigenbasis.STUDY,
    "inverse": inverse.STUDY,
    "langevin": langevin.STUDY,
    "learning": learning.STUDY,
    "lowdim": lowdim.STUDY,
    "samplers": samplers.STUDY,
    "shuffled": shuffled.STUDY,
    "slopes": slopes.STUDY,
    "transition": transition.STUDY,
    "twins": twins.STUDY,
}
