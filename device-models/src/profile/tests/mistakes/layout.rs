//! Mistakes in the places of capabilities and in their lists.

use super::Mistake;

pub(super) const MISTAKES: &[Mistake] = &[
    (
        "capabilities over each other",
        r#"[capabilities.pm]
offset = 0x40

[capabilities.msi]
offset = 0x44
"#,
        "my.toml:12: capabilities.msi.offset: msi at 0x44 overlaps power-management at 0x40, which ends at 0x48; move one of them or leave offset out",
    ),
    (
        "a second capability of a kind",
        r#"[capabilities.msi]

[[capabilities.raw]]
id = 0x05
bytes = [0, 0]
"#,
        "my.toml:11: capabilities.raw.0.id: a function has one MSI capability at most, and capabilities.msi is it; remove one or set linked = false",
    ),
    (
        "a capability in the header",
        r#"[capabilities.pm]
offset = 0x3c
"#,
        "my.toml:9: capabilities.pm.offset: power-management at 0x3c with 0x8 bytes is outside 0x40 to 0x100; move it or leave offset out",
    ),
    (
        "a capability that does not fit",
        r#"[capabilities.pm]
offset = 0xfc
"#,
        "my.toml:9: capabilities.pm.offset: power-management at 0xfc with 0x8 bytes is outside 0x40 to 0x100; move it or leave offset out",
    ),
    (
        "an extended capability below 100h",
        r#"[capabilities.aer]
offset = 0x80
"#,
        "my.toml:9: capabilities.aer.offset: advanced-error-reporting at 0x80 with 0x48 bytes is outside 0x100 to 0x1000; move it or leave offset out",
    ),
    (
        "an unaligned capability",
        r#"[capabilities.pm]
offset = 0x42
"#,
        "my.toml:9: capabilities.pm.offset: power-management at 0x42 is not aligned to 4 bytes; choose a multiple of 4",
    ),
    (
        "extended capabilities in 256 bytes",
        r#"name = "x"

[identity]
vendor-id = 0x1234
device-id = 0x0001
class = 0xff0000
config-size = 256

[capabilities.aer]
"#,
        "my.toml:9: capabilities.aer: needs a config space of 4096 bytes; set identity.config-size = 4096 or remove the capability",
    ),
    (
        "an extended list that does not start at 100h",
        r#"[capabilities.aer]
offset = 0x140
"#,
        "my.toml:9: capabilities.aer.offset: the extended list starts with advanced-error-reporting at 0x140; its first capability must be at 0x100; move it there or begin the list with another",
    ),
    (
        "no room left",
        r#"[capabilities.pm]
offset = 0x40

[[capabilities.vendor]]
offset = 0x48
bytes = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]

[capabilities.msi]
"#,
        "my.toml:15: capabilities.msi: there is no room for its 16 bytes from 0x40 to 0x100; remove a capability or move others together",
    ),
    (
        "a list that leads to what is not there",
        r#"[capabilities]
list = ["pm", "msi"]

[capabilities.pm]
"#,
        "my.toml:9: capabilities.list.1: there is no capability msi for this list; it can have no further ones",
    ),
    (
        "a list that leads twice to the same",
        r#"[capabilities]
list = ["pm", "pm"]

[capabilities.pm]
"#,
        "my.toml:9: capabilities.list.1: pm is in the list twice; remove one",
    ),
    (
        "an extended capability in the conventional list",
        r#"[capabilities]
list = ["aer"]

[capabilities.aer]
"#,
        "my.toml:9: capabilities.list.0: there is no capability aer for this list; it can have no further ones",
    ),
    (
        "a list that leads to what is said to be unlinked",
        r#"[capabilities]
list = ["blob"]

[[capabilities.raw]]
name = "blob"
id = 0x0a
bytes = [0, 0]
linked = false
"#,
        "my.toml:9: capabilities.list.0: blob has linked = false; remove one of the two",
    ),
];
