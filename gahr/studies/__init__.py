"""One module per figure: analyze -> arrays, check -> theory beside measurement, draw -> Figure."""

from gahr.studies import bases, card, disks, eigenbasis, lowdim, shuffled, slopes, transition, twins

STUDIES = {
    "bases": bases,
    "card": card,
    "disks": disks,
    "eigenbasis": eigenbasis,
    "lowdim": lowdim,
    "shuffled": shuffled,
    "slopes": slopes,
    "transition": transition,
    "twins": twins,
}
