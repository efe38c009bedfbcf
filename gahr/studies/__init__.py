"""One module per figure: analyze -> arrays, check -> theory beside measurement, draw -> Figure."""

from gahr.studies import slopes

STUDIES = {"slopes": slopes}
