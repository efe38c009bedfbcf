"""One module per figure: analyze -> arrays, check -> theory beside measurement, draw -> Figure."""

from gahr.studies import bases, disks, eigenbasis, lowdim, shuffled, slopes, transition, twins

STUDIES = {
    "bases": bases,
    "disks": disks,
    "eigenbasis": eigenbasis,
    "lowdim": lowdim,
    "shuffled": shuffled,
    "slopes": slopes,
    "transition": transition,
    "twins": twins,
}
