"""One HTML page of records that needs nothing but a browser: no network, no other file.

Python decides every number and every word of it, by the judge's functions and in the writing of the terminal's tables;
the page's own script sorts, filters and draws. `page.html` puts the parts together:

    times.py         the tables of times, and what was not measured
    verdicts.py      a gate, or two records held against each other
    machine.py       where it was measured, and what could have disturbed it
    plots.py         what the script draws
    templates/  page.css  scripts/  vendor/
"""
