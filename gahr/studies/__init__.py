"""One module or folder per figure: analyze -> arrays, check -> theory beside measurement, draw -> Figure."""

from gahr.studies import bases, card, disks, eigenbasis, langevin, lowdim, shuffled, slopes, transition, twins

STUDIES = {
    "bases": bases.STUDY,
    "card": card.STUDY,
    "disks": disks.STUDY,
    "eigenbasis": eigenbasis.STUDY,
    "langevin": langevin.STUDY,
    "lowdim": lowdim.STUDY,
    "shuffled": shuffled.STUDY,
    "slopes": slopes.STUDY,
    "transition": transition.STUDY,
    "twins": twins.STUDY,
}
