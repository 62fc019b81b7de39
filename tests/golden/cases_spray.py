"""unauthorized-burst: spray."""

POD = "list /api/v1/pods"
SPRAY = "unauthorized-burst/spray"


def clients(network, first, last, at="0s", agent="app/1.0"):
    """One failure each of network.first … network.last, from `at` on, 1 s apart."""
    return "\n".join(
        f"{at}+{i - first}s | {network}.{i} | nobody | {POD} | 401 | "
        f"agent={agent}" for i in range(first, last + 1))


CASES = [
    dict(name="spray-attack",
         story="Twenty external clients, one failure each, the first and last "
               "just five minutes apart.",
         events=f"""
0s..5m x20 | 203.0.113.{{i}} | nobody | {POD} | 401
""",
         verdict=f"medium {SPRAY} x20 0s..5m explain.looks_like:attack "
                 "explain.distinct_clients:20"),
    dict(name="spray-rotation",
         story="Twenty internal clients with a user agent each: looks like a "
               "key rotation.",
         events="\n".join(clients("10.1.2", i, i, f"{i}s", f"app{i}/1.0")
                          for i in range(1, 21)),
         verdict=f'low {SPRAY} x20 1s..20s "explain.looks_like:key rotation"'),
    dict(name="spray-internal-share",
         story="16 of 20 internal (80 %) look like a rotation.",
         events=clients("10.1.2", 1, 16) + "\n"
                + clients("203.0.113", 1, 4, "20s"),
         verdict=f'low {SPRAY} x20 0s..23s "explain.looks_like:key rotation"'),
    dict(name="spray-external-share",
         story="15 of 20 internal do not.",
         events=clients("10.1.2", 1, 15) + "\n"
                + clients("203.0.113", 1, 5, "20s"),
         verdict=f"medium {SPRAY} x20 0s..24s explain.looks_like:attack"),
    dict(name="spray-agents",
         story="All internal, but 5 of 20 with two user agents each (75 % with "
               "one): an attack.",
         events=clients("10.1.2", 1, 5) + "\n"
                + clients("10.1.2", 1, 20, "10s", "curl/8.5.0"),
         verdict=f"medium {SPRAY} x25 0s..29s explain.looks_like:attack"),
    dict(name="spray-agents-of-before",
         story="The same five had another user agent, but more than five "
               "minutes before the twentieth client: a rotation.",
         events=clients("10.1.2", 1, 5) + "\n"
                + clients("10.1.2", 1, 20, "4m50s", "curl/8.5.0"),
         verdict=f'low {SPRAY} x20 4m50s..5m9s '
                 '"explain.looks_like:key rotation"'),
    dict(name="spray-agents-just-within",
         story="Just five minutes before: an attack.",
         events=clients("10.1.2", 1, 5, "9s") + "\n"
                + clients("10.1.2", 1, 20, "4m50s", "curl/8.5.0"),
         verdict=f"medium {SPRAY} x25 9s..5m9s explain.looks_like:attack"),
    dict(name="spray-agents-of-floods",
         story="Five of the twenty are floods; what other user agent they had "
               "came in the middle of a minute, where failures are only "
               "counted: an attack.",
         events="\n".join(f"""
0s..29s x150 | 10.1.2.{i} | nobody | {POD} | 401 | agent=app/1.0
30s | 10.1.2.{i} | nobody | {POD} | 401 | agent=curl/8.5.0
31s..59s x150 | 10.1.2.{i} | nobody | {POD} | 401 | agent=app/1.0
""" for i in range(1, 6)) + clients("10.1.2", 6, 20, "61s"),
         verdict=f"medium {SPRAY} x1520 0s..75s explain.looks_like:attack\n"
                 + "\n".join(f"high unauthorized-burst/burst client=10.1.2.{i} "
                             "x301 0s..59s" for i in range(1, 6))),
    dict(name="spray-turns",
         story="A rotation, and then six external clients more: 20 of 26 "
               "internal, so it becomes an attack.",
         events=clients("10.1.2", 1, 20) + "\n"
                + clients("203.0.113", 1, 6, "60s"),
         verdict=f"medium {SPRAY} x26 0s..65s explain.looks_like:attack "
                 "explain.distinct_clients:26"),
    dict(name="spray-prefixes",
         story="Twenty /64s, one failure each.",
         events=f"""
0s..19s x20 | 2001:db8:0:{{i}}::1 | nobody | {POD} | 401
""",
         verdict=f"medium {SPRAY} x20 0s..19s"),
    dict(name="innocent-spray",
         story="19 clients; twenty over five minutes and a microsecond.",
         events=f"""
       0s..18s x19 | 203.0.113.{{i}} | nobody | {POD} | 401
1h..1h5m+1us x20 | 198.51.100.{{i}} | nobody | {POD} | 401
""",
         verdict="quiet"),
    dict(name="innocent-spray-one-prefix",
         story="Nine addresses of one /64, and ten other clients: eleven.",
         events=f"""
0s..8s x9 | 2001:db8::{{i}} | nobody | {POD} | 401
10s..19s x10 | 203.0.113.{{i}} | nobody | {POD} | 401
""",
         verdict="quiet"),
]
