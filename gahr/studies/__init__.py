"""One module per figure: analyze -> arrays, check -> theory beside measurement, draw -> Figure."""

from gahr.studies import eigenbasis, slopes

STUDIES = {"eigenbasis": eigenbasis, "slopes": slopes}
