"""JSON Schemas (2020-12) of what the API takes and gives, area by area, as constants.

Each module has SPECS, what there is to say of an operation beyond its line in the table of routes,
and COMPONENTS, the shapes that several operations share. control_api/openapi.py makes the document
of them; app.py refuses bodies of media types that are not in them. What the handlers really take is
read field by field (fields.py); tests compare the two.

Not here: the table of routes (app.py).
"""
