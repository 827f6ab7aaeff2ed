"""Tables, plots, exports and the HTML page, all made from records."""
