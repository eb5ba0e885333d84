//! Texts that are not profiles, and mistakes in `[identity]`, `[platform]` and `[host]`.

use super::Mistake;

pub(super) const MISTAKES: &[Mistake] = &[
    (
        "not TOML",
        r#"[platform
"#,
        "my.toml:8: not TOML: unclosed table; expected `]`",
    ),
    (
        "a number that is none",
        r#"[rom]
size = 0xgg
"#,
        "my.toml:9: not TOML: invalid hexadecimal number",
    ),
    (
        "a key twice",
        r#"[rom]
size = 0x800
size = 0x800
"#,
        "my.toml:10: not TOML: duplicate key",
    ),
    (
        "an unknown table",
        r#"[power]
"#,
        "my.toml:8: power: there is no key `power`; expected one of `name`, `description`, `virtual-function-of`, `linux-driver`, `model`, `identity`, `bar`, `doorbell`, `rom`, `capabilities`, `platform`, `host`, `slot`, `fault`",
    ),
    (
        "an unknown key",
        r#"[capabilities.pm]
pme-form = ["d0"]
"#,
        "my.toml:9: capabilities.pm.pme-form: there is no key `pme-form`; expected one of `offset`, `version`, `pme-from`, `d1`, `d2`, `no-soft-reset`, `aux-current-ma`, `dsi`, `immediate-readiness`, `data`",
    ),
    (
        "a wrong type",
        r#"[platform]
aux-power = "yes"
"#,
        r#"my.toml:9: platform.aux-power: invalid type: string "yes"; expected a boolean"#,
    ),
    (
        "a number out of range",
        r#"[capabilities.msi]
vectors = 70000
"#,
        "my.toml:9: capabilities.msi.vectors: invalid value: integer `70000`; expected a number from 0 to 0xffff",
    ),
    (
        "an unknown choice",
        r#"[platform]
delays = "sometimes"
"#,
        "my.toml:9: platform.delays: unknown value `sometimes`; expected one of `off`, `report`, `enforce`",
    ),
    (
        "a state that is nobody's deepest",
        r#"[platform]
deepest-state = "d2"
"#,
        "my.toml:9: platform.deepest-state: unknown value `d2`; expected one of `d0`, `d3hot`, `d3cold`",
    ),
    (
        "a dialect that does not exist",
        r#"[host]
pm-dialect = "v5"
"#,
        "my.toml:9: host.pm-dialect: unknown value `v5`; expected `mainline` or `v4`",
    ),
    (
        "a delay that is no time",
        r#"[host]
suspend-delay-ms = "soon"
"#,
        r#"my.toml:9: host.suspend-delay-ms: expected milliseconds or "manual""#,
    ),
    (
        "no clients",
        r#"[host]
max-clients = 0
"#,
        "my.toml:9: host.max-clients: no client could open the function; choose 1 or more",
    ),
    (
        "a missing key",
        r#"[[bar]]
index = 0
kind = "memory32"
"#,
        "my.toml:8: bar.0.size: is missing; add it",
    ),
    (
        "no vendor",
        r#"name = "x"

[identity]
vendor-id = 0xffff
device-id = 0x0001
class = 0xff0000

"#,
        "my.toml:4: identity.vendor-id: 0xffff is not a vendor id: 0 and 0xffff mean that no function is there, 1 that it is not ready; choose another",
    ),
    (
        "a class that is too long",
        r#"name = "x"

[identity]
vendor-id = 0x1234
device-id = 0x0001
class = 0x1ff0000

"#,
        "my.toml:6: identity.class: 0x1ff0000 has more than 24 bits; write base class, sub-class and programming interface as 0xBBSSPP",
    ),
    (
        "an interrupt pin that does not exist",
        r#"name = "x"

[identity]
vendor-id = 0x1234
device-id = 0x0001
class = 0xff0000
interrupt-pin = "E"

"#,
        "my.toml:7: identity.interrupt-pin: unknown value `E`; expected one of `none`, `A`, `B`, `C`, `D`",
    ),
    (
        "a config size that does not exist",
        r#"name = "x"

[identity]
vendor-id = 0x1234
device-id = 0x0001
class = 0xff0000
config-size = 1024

"#,
        "my.toml:7: identity.config-size: config space cannot have 1024 bytes; choose 256 or 4096",
    ),
    (
        "a missing identity",
        r#"name = "x"

[identity]
vendor-id = 0x1234
device-id = 0x0001

"#,
        "my.toml:3: identity.class: is missing; add it",
    ),
];
