"""Order, stamps, clusters: what a log may do to us."""

POD = "list /api/v1/pods"
BURST = "medium unauthorized-burst/burst client=203.0.113.7"

CASES = [
    dict(name="order-reversed",
         story="The lines of a burst and its success stand in the file from "
               "last to first.",
         order=lambda lines: lines[::-1],
         events=f"""
0s..9s x10 | 203.0.113.7 | nobody | {POD} | 401
30s | 203.0.113.7 | dana | {POD} | 200 allow
90s | 203.0.113.7 | dana | {POD} | 200 allow
""",
         verdict="critical unauthorized-burst/success_after_burst "
                 "client=203.0.113.7 x10 0s..90s user:dana"),
    dict(name="order-no-stage-time",
         story="Without stageTimestamp the time of receipt counts.",
         events=f"""
0s..60s x9 | 203.0.113.7 | nobody | {POD} | 401 | received=9s; no-stage-time; id=a{{i}}
1s | 203.0.113.7 | nobody | {POD} | 401
""",
         verdict=f"{BURST} x10 1s..9s"),
    dict(name="clusters-apart",
         story="Two clusters in one log, told by a field: each counts for "
               "itself, and one has a threshold of its own.",
         config="""
cluster: {json_field: cluster, default: main}
clusters:
  edge: {detectors: {unauthorized-burst: {threshold: 6}}}
""",
         events=f"""
0s..5s x6 | 203.0.113.7 | nobody | {POD} | 401 | cluster=edge
0s..5s x6 | 203.0.113.7 | nobody | {POD} | 401 | cluster=prod
0s..3s x4 | 203.0.113.7 | nobody | {POD} | 401
""",
         verdict=f"{BURST} x6 0s..5s cluster:edge"),
]
