"""One module or folder per figure: analyze -> arrays, check -> theory beside measurement, draw -> Figure."""

from gahr.studies import (
    bandlets,
    bases,
    card,
    consistency,
    disks,
    eigenbasis,
    langevin,
    learning,
    lowdim,
    rates,
    shuffled,
    slopes,
    transition,
    twins,
)

STUDIES = {
    "bandlets": bandlets.STUDY,
    "bases": bases.STUDY,
    "card": card.STUDY,
    "consistency": consistency.STUDY,
    "disks": disks.STUDY,
    "eigenbasis": eigenbasis.STUDY,
    "langevin": langevin.STUDY,
    "learning": learning.STUDY,
    "lowdim": lowdim.STUDY,
    "rates": rates.STUDY,
    "shuffled": shuffled.STUDY,
    "slopes": slopes.STUDY,
    "transition": transition.STUDY,
    "twins": twins.STUDY,
}
