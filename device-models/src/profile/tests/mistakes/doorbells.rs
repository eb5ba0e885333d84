//! Doorbells.

use super::Mistake;

pub(super) const MISTAKES: &[Mistake] = &[
    (
        "a doorbell of an odd size",
        r#"[[bar]]
index = 0
kind = "memory32"
size = 0x1000

[[doorbell]]
bar = 0
offset = 8
size = 3
"#,
        "my.toml:16: doorbell.0.size: a write cannot have 3 bytes; choose 1, 2, 4 or 8",
    ),
    (
        "a doorbell of no BAR",
        r#"[[doorbell]]
bar = 0
offset = 8
"#,
        "my.toml:9: doorbell.0.bar: there is no BAR 0; add one, or choose another",
    ),
    (
        "a doorbell across the end of its BAR",
        r#"[[bar]]
index = 0
kind = "memory32"
size = 0x1000

[[doorbell]]
bar = 0
offset = 0xffe
"#,
        "my.toml:15: doorbell.0.offset: 4 bytes at 0xffe leave BAR 0, which has 0x1000; move the doorbell or enlarge the BAR",
    ),
    (
        "a doorbell whose value does not fit",
        r#"[[bar]]
index = 0
kind = "memory32"
size = 0x1000

[[doorbell]]
bar = 0
offset = 8
size = 2
datamatch = 0x10000
"#,
        "my.toml:17: doorbell.0.datamatch: 0x10000 has more than 2 bytes; choose a smaller value or a larger size",
    ),
    (
        "two doorbells rung by the same write",
        r#"[[bar]]
index = 0
kind = "memory32"
size = 0x1000

[[doorbell]]
bar = 0
offset = 8
datamatch = 1

[[doorbell]]
bar = 0
offset = 8
"#,
        "my.toml:20: doorbell.1.offset: doorbell.0 stands for the same write; give each a datamatch of its own, or remove one",
    ),
];
