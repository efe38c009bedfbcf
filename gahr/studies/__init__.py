"""One module or folder per figure: analyze -> arrays, check -> theory beside measurement, draw -> Figure."""

from gahr.studies import (
    bases,
    card,
    consistency,
    consistency_svd,
    disks,
    eigenbasis,
    langevin,
    learning,
    link,
    lowdim,
    shuffled,
    slopes,
    steering,
    transition,
    twins,
)

STUDIES = {
    "bases": bases.STUDY,
    "card": card.STUDY,
    "consistency": consistency.STUDY,
    "consistency_svd": consistency_svd.STUDY,
    "disks": disks.STUDY,
    "eigenbasis": eigenbasis.STUDY,
    "langevin": langevin.STUDY,
    "learning": learning.STUDY,
    "link": link.STUDY,
    "lowdim": lowdim.STUDY,
    "shuffled": shuffled.STUDY,
    "slopes": slopes.STUDY,
    "steering": steering.STUDY,
    "transition": transition.STUDY,
    "twins": twins.STUDY,
}
