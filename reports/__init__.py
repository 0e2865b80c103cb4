"""Run directories, statistics, gates and reports; measured and simulated runs alike.

::

    rundir runinfo tables      the run directory: written, merged, read, never changed by reading
    fingerprint workload       where a run was made; what two runs must have in common
    measure pools samples      rows become samples per metric
    statistics student         figures and intervals
    evidence gates             what gates are judged by; limits and agreement with a model
    regression noninferiority  runs against their baseline, two builds in turns
    baselines model            accepted runs, registered predictions
    live                       limits while a run is in progress
    steps capacity component   capacity searches: the rows, what was held, whose fault
    faults                     what viewers noticed of what was broken on purpose
    validity verdict           whether the generator can be trusted; exit codes
    assess together            everything that is concluded from one run, from several
    build summary junit        the products of a run directory
    html markdown github trace compare   what people read
    plots (timeline joins distributions heatmap levels) svg marks   what they look at
"""
