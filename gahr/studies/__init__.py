"""One module per figure: analyze -> arrays, check -> theory beside measurement, draw -> Figure."""

from gahr.studies import disks, eigenbasis, slopes

STUDIES = {"disks": disks, "eigenbasis": eigenbasis, "slopes": slopes}
