"""One module per figure: analyze -> arrays, check -> theory beside measurement, draw -> Figure."""

from gahr.studies import card, disks, eigenbasis, slopes

STUDIES = {"card": card, "disks": disks, "eigenbasis": eigenbasis, "slopes": slopes}
