//! BARs and the expansion ROM.

use super::Mistake;

pub(super) const MISTAKES: &[Mistake] = &[
    (
        "a size that is not a power of two",
        r#"[[bar]]
index = 0
kind = "memory32"
size = 0x1800
"#,
        "my.toml:11: bar.0.size: size 0x1800 is not a power of two; the next one is 0x2000",
    ),
    (
        "a BAR index that does not exist",
        r#"[[bar]]
index = 6
kind = "memory32"
size = 0x1000
"#,
        "my.toml:9: bar.6.index: there is no BAR 6; BARs are 0 to 5",
    ),
    (
        "a BAR index twice",
        r#"[[bar]]
index = 0
kind = "memory32"
size = 0x1000

[[bar]]
index = 0
kind = "memory32"
size = 0x1000
"#,
        "my.toml:14: bar.0.index: there is a BAR 0 already; take another index",
    ),
    (
        "a 64-bit BAR without a second register",
        r#"[[bar]]
index = 5
kind = "memory64"
size = 0x1000
"#,
        "my.toml:9: bar.5.index: a 64-bit BAR takes two registers and BAR 5 is the last; the highest index is 4",
    ),
    (
        "a 64-bit BAR over the next one",
        r#"[[bar]]
index = 2
kind = "memory64"
size = 0x1000

[[bar]]
index = 3
kind = "memory32"
size = 0x1000
"#,
        "my.toml:9: bar.2.index: a 64-bit BAR takes two registers, and BAR 3 is there as well; move one of them or choose memory32",
    ),
    (
        "an I/O BAR that is too large",
        r#"[[bar]]
index = 1
kind = "io"
size = 0x1000
"#,
        "my.toml:11: bar.1.size: size 0x1000 is outside 0x4 to 0x100, the limits of a BAR of this kind; choose a power of two between them",
    ),
    (
        "a prefetchable I/O BAR",
        r#"[[bar]]
index = 1
kind = "io"
size = 0x20
prefetchable = true
"#,
        "my.toml:12: bar.1.prefetchable: an I/O BAR cannot be prefetchable; leave prefetchable out",
    ),
    (
        "a 32-bit BAR of 4 GiB",
        r#"[[bar]]
index = 0
kind = "memory32"
size = 0x1_0000_0000
"#,
        r#"my.toml:11: bar.0.size: size 0x100000000 is outside 0x10 to 0x80000000, the limits of a BAR of this kind; kind = "memory64" takes more"#,
    ),
    (
        "a BAR that is too small",
        r#"[[bar]]
index = 0
kind = "memory32"
size = 8
"#,
        "my.toml:11: bar.0.size: size 0x8 is outside 0x10 to 0x80000000, the limits of a BAR of this kind; choose a power of two between them",
    ),
    (
        "more RAM than the daemon gives",
        r#"[[bar]]
index = 0
kind = "memory64"
size = 0x10_0000_0000
content = "ram"
"#,
        r#"my.toml:11: bar.0.size: 0x1000000000 bytes are too many for content "ram", which is memory of the daemon; the largest is 0x40000000"#,
    ),
    (
        "a ROM size without encoding",
        r#"[rom]
size = 0x400
"#,
        "my.toml:9: rom.size: a ROM of 0x400 bytes has no encoding; choose a power of two from 0x800 to 0x1000000",
    ),
];
