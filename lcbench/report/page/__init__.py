"""One HTML page of records that needs nothing but a browser: no network, no other file.

Python decides every number and every word of it, by the judge's functions; the tables are those of the terminal. The
page's own script sorts, filters and draws. `page.html` puts the parts together:

    times.py         which rows of a record stand in one table
    verdicts.py      a gate, or two records held against each other
    machine.py       where it was measured, and what could have disturbed it
    plots.py         what the script draws
    templates/  page.css  scripts/  vendor/
"""
