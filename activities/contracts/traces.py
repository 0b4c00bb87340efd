"""By what a person looks workflows up in Temporal's UI: the search attributes, with their types there.

They are readable for whoever reads Temporal, also where payloads are encrypted: ids, states and names only.
"""

TENANT = "AitherTenant"
STATUS = "AitherStatus"
EFFORT = "AitherEffort"
RUNG = "AitherRung"
MODEL = "AitherModel"

SEARCH_ATTRIBUTES = {TENANT: "Keyword", STATUS: "Keyword", EFFORT: "Int", RUNG: "Keyword", MODEL: "Keyword"}
