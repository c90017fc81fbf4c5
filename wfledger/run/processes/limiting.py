"""What a process that answers one question allows itself; apart, for such a one starts often."""

import resource


def limit_itself(cpu_s: int, memory: int) -> None:
    """End this process after *cpu_s* seconds of computing; refuse it more than *memory* bytes."""
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    allowed = memory if most == resource.RLIM_INFINITY else min(memory, most)
    resource.setrlimit(resource.RLIMIT_AS, (allowed, allowed))
