"""The flags that the processor raises at overflow and the like, of which NumPy warns.

A run of groups clears them first and gives those that were raised. Where NumPy would warn of one, that call runs eagerly:
the warnings are those of the step.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping

MACHINE = platform.machine().lower()
X86 = MACHINE in ("x86_64", "amd64")
KNOWN: bool = X86 or MACHINE in ("aarch64", "arm64")
"""Whether it is known how this processor tells of them."""
KINDS: Mapping[str, int] = (
    {"invalid": 1, "divide": 4, "over": 8, "under": 16} if X86 else {"invalid": 1, "divide": 2, "over": 4, "under": 8}
)
DOUBT = 64
"""What a run gives beside where its bits may differ from NumPy's."""
DECLARED = ["@doubt = internal global i32 0"] + (
    ["declare void @llvm.x86.sse.stmxcsr(ptr)", "declare void @llvm.x86.sse.ldmxcsr(ptr)"]
    if X86
    else ["declare i32 @feclearexcept(i32)", "declare i32 @fetestexcept(i32)"]
)
CLEARED = ["  store i32 0, ptr @doubt"] + (
    [
        "  %flags = alloca i32",
        "  call void @llvm.x86.sse.stmxcsr(ptr %flags)",
        "  %before = load i32, ptr %flags",
        "  %cleared = and i32 %before, -64",
        "  store i32 %cleared, ptr %flags",
        "  call void @llvm.x86.sse.ldmxcsr(ptr %flags)",
    ]
    if X86
    else ["  call i32 @feclearexcept(i32 31)"]
)
RETURNED = (
    [
        "  %doubt = load i32, ptr @doubt",
        "  call void @llvm.x86.sse.stmxcsr(ptr %flags)",
        "  %after = load i32, ptr %flags",
        "  %raised = and i32 %after, 63",
    ]
    if X86
    else ["  %doubt = load i32, ptr @doubt", "  %raised = call i32 @fetestexcept(i32 31)"]
) + ["  %result = or i32 %raised, %doubt", "  ret i32 %result"]


def warned(errors: Mapping[str, str]) -> int:
    """The flags of which NumPy tells, as it is set."""
    return DOUBT + sum(flag for kind, flag in KINDS.items() if errors[kind] != "ignore")
