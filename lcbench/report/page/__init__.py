"""HTML page of records that needs nothing but a browser: no network, no other file.

Python computes every number and text of the page, with the functions of `lcbench.stats`; the tables are those of the
terminal. The page's script sorts, filters and draws. `page.html` combines the parts:

    times.py         tables of times
    verdicts.py      verdicts of a gate, or on two records
    machine.py       facts on the machine
    plots.py         data of the plots
    templates/  page.css  scripts/  vendor/
"""
