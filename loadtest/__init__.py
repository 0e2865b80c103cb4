"""The locustfile and the modules it is made of.

Locust executes every ``.py`` file here whose name has no leading underscore as
a module of its own, so there is one, ``locustfile.py``; the rest is underscored
and imported as ``loadtest._name``, hence exactly once.
"""
