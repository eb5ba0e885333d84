//! Every kind of mistake in a profile, with what is said about it.

use super::parse;

/// What stands before the texts that do not begin with a name.
const HEAD: &str = r#"name = "x"

[identity]
vendor-id = 0x1234
device-id = 0x0001
class = 0xff0000

"#;

/// What is wrong, the text, and the whole message.
const MISTAKES: [(&str, &str, &str); 71] = [
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
        "my.toml:8: power: there is no key `power`; expected one of `name`, `description`, `model`, `identity`, `bar`, `doorbell`, `rom`, `capabilities`, `platform`, `host`",
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
        "my.toml:9: platform.delays: there is no choice `sometimes`; expected one of `off`, `report`, `enforce`",
    ),
    (
        "a state that is nobody's deepest",
        r#"[platform]
deepest-state = "d2"
"#,
        "my.toml:9: platform.deepest-state: there is no choice `d2`; expected one of `d0`, `d3hot`, `d3cold`",
    ),
    (
        "a dialect that does not exist",
        r#"[host]
pm-dialect = "v5"
"#,
        "my.toml:9: host.pm-dialect: there is no choice `v5`; expected `mainline` or `v4`",
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
        "my.toml:9: host.max-clients: nobody could open the function; choose 1 or more",
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
        "my.toml:4: identity.vendor-id: 0xffff is no vendor: 0 and 0xffff mean that no function is there, 1 that it is not ready; choose another",
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
        "my.toml:7: identity.interrupt-pin: there is no choice `E`; expected one of `none`, `A`, `B`, `C`, `D`",
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
        "my.toml:7: identity.config-size: config space does not come in 1024 bytes; choose 256 or 4096",
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
    (
        "a size that is no power of two",
        r#"[[bar]]
index = 0
kind = "memory32"
size = 0x1800
"#,
        "my.toml:11: bar.0.size: size 0x1800 is no power of two; the next one is 0x2000",
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
        r#"my.toml:11: bar.0.size: 0x1000000000 bytes are too much for content "ram", which is memory of the daemon; the largest is 0x40000000"#,
    ),
    (
        "a ROM size without encoding",
        r#"[rom]
size = 0x400
"#,
        "my.toml:9: rom.size: a ROM of 0x400 bytes has no encoding; choose a power of two from 0x800 to 0x1000000",
    ),
    (
        "PME from D1 without D1",
        r#"[capabilities.pm]
pme-from = ["d0", "d1"]
"#,
        "my.toml:9: capabilities.pm.pme-from: PME is signalled from D1, which the function does not have; set d1 = true or leave it out of pme-from",
    ),
    (
        "PME from D2 without D2",
        r#"[capabilities.pm]
pme-from = ["d2"]
"#,
        "my.toml:9: capabilities.pm.pme-from: PME is signalled from D2, which the function does not have; set d2 = true or leave it out of pme-from",
    ),
    (
        "auxiliary current beside a Data register",
        r#"[capabilities.pm]
pme-from = ["d3cold"]
aux-current-ma = 375
data = [{ select = 0, scale = 1, value = 26 }]
"#,
        "my.toml:10: capabilities.pm.aux-current-ma: 375 mA of auxiliary current exclude a Data register; set 0 or remove data",
    ),
    (
        "auxiliary current without PME from D3cold",
        r#"[capabilities.pm]
aux-current-ma = 375
"#,
        r#"my.toml:9: capabilities.pm.aux-current-ma: 375 mA of auxiliary current serve nothing without PME from D3cold; add "d3cold" to pme-from or set 0"#,
    ),
    (
        "an auxiliary current without encoding",
        r#"[capabilities.pm]
pme-from = ["d3cold"]
aux-current-ma = 300
"#,
        "my.toml:10: capabilities.pm.aux-current-ma: no encoding for 300 mA; the choice is [0, 55, 100, 160, 220, 270, 320, 375]",
    ),
    (
        "a PM version that does not exist",
        r#"[capabilities.pm]
version = 4
"#,
        "my.toml:9: capabilities.pm.version: version 4 does not exist; PCI Express functions have 3, older ones 1 or 2",
    ),
    (
        "a reserved data select",
        r#"[capabilities.pm]
data = [{ select = 9, scale = 1, value = 26 }]
"#,
        "my.toml:9: capabilities.pm.data: data select 9 is reserved; selects are 0 to 8",
    ),
    (
        "a number of MSI vectors that does not exist",
        r#"[capabilities.msi]
vectors = 3
"#,
        "my.toml:9: capabilities.msi.vectors: 3 vectors: MSI has 1, 2, 4, 8, 16 or 32",
    ),
    (
        "too many MSI-X vectors",
        r#"[[bar]]
index = 0
kind = "memory32"
size = 0x1000

[capabilities.msix]
table-bar = 0
vectors = 4096
"#,
        "my.toml:15: capabilities.msix.vectors: 4096 vectors: MSI-X has 1 to 2048",
    ),
    (
        "an MSI-X table in a missing BAR",
        r#"[[bar]]
index = 0
kind = "memory32"
size = 0x1000

[capabilities.msix]
table-bar = 2
"#,
        "my.toml:14: capabilities.msix.table-bar: there is no BAR 2; memory BARs are 0",
    ),
    (
        "an MSI-X table in an I/O BAR",
        r#"[[bar]]
index = 1
kind = "io"
size = 0x20

[capabilities.msix]
table-bar = 1
"#,
        "my.toml:14: capabilities.msix.table-bar: BAR 1 is an I/O BAR; there is no memory BAR at all, add one",
    ),
    (
        "an MSI-X table that leaves its BAR",
        r#"[[bar]]
index = 0
kind = "memory32"
size = 0x1000

[capabilities.msix]
table-bar = 0
table-offset = 0xff8
pba-offset = 0
"#,
        "my.toml:15: capabilities.msix.table-offset: the table at 0xff8 to 0x1008 leaves BAR 0, which has 0x1000 bytes; enlarge the BAR or move the table",
    ),
    (
        "a PBA that leaves its BAR",
        r#"[[bar]]
index = 0
kind = "memory32"
size = 0x1000

[capabilities.msix]
table-bar = 0
pba-offset = 0x1000
"#,
        "my.toml:15: capabilities.msix.pba-offset: the pba at 0x1000 to 0x1008 leaves BAR 0, which has 0x1000 bytes; enlarge the BAR or move the pba",
    ),
    (
        "a PBA in the MSI-X table",
        r#"[[bar]]
index = 0
kind = "memory32"
size = 0x1000

[capabilities.msix]
table-bar = 0
vectors = 16
pba-offset = 0x80
"#,
        "my.toml:16: capabilities.msix.pba-offset: the Pending Bit Array at 0x80 overlaps the table, which ends at 0x100; move it behind",
    ),
    (
        "an unaligned MSI-X table",
        r#"[[bar]]
index = 0
kind = "memory32"
size = 0x1000

[capabilities.msix]
table-bar = 0
table-offset = 4
"#,
        "my.toml:15: capabilities.msix.table-offset: 0x4 is no multiple of 8",
    ),
    (
        "a payload that does not exist",
        r#"[capabilities.pcie]
max-payload = 100
"#,
        "my.toml:9: capabilities.pcie.max-payload: a payload of 100 bytes: sizes are 128, 256, 512, 1024, 2048 and 4096",
    ),
    (
        "an AER version that does not exist",
        r#"[capabilities.aer]
version = 3
"#,
        "my.toml:9: capabilities.aer.version: version 3: AER has versions 1 and 2",
    ),
    (
        "a serial number that is none",
        r#"[capabilities.dsn]
serial = "12-34"
"#,
        r#"my.toml:9: capabilities.dsn.serial: "12-34" is no serial number; write eight bytes as "00-1b-21-ff-ff-aa-bb-cc""#,
    ),
    (
        "a resizable BAR that does not exist",
        r#"[[bar]]
index = 0
kind = "memory32"
size = 0x1000

[capabilities.resizable-bar]
bars = [{ bar = 2, sizes = [0x10_0000] }]
"#,
        "my.toml:14: capabilities.resizable-bar.bars: BAR 2 is no memory BAR of this function; name one that is",
    ),
    (
        "a resizable BAR without its own size",
        r#"[[bar]]
index = 0
kind = "memory32"
size = 0x1000

[capabilities.resizable-bar]
bars = [{ bar = 0, sizes = [0x10_0000] }]
"#,
        "my.toml:14: capabilities.resizable-bar.bars: BAR 0 starts with 0x1000 bytes, which is not among its sizes; add it (0x100000 to 0x8000000000 can be) or change the BAR",
    ),
    (
        "a size that no BAR can be resized to",
        r#"[[bar]]
index = 0
kind = "memory32"
size = 0x10_0000

[capabilities.resizable-bar]
bars = [{ bar = 0, sizes = [0x10_0000, 0x30_0000] }]
"#,
        "my.toml:14: capabilities.resizable-bar.bars: BAR 0 cannot have 0x300000 bytes; sizes are powers of two from 0x100000 on, from 0x100000000 on with 64-bit BARs only",
    ),
    (
        "more RAM after resizing than the daemon gives",
        r#"[[bar]]
index = 0
kind = "memory64"
size = 0x10_0000
content = "ram"

[capabilities.resizable-bar]
bars = [{ bar = 0, sizes = [0x10_0000, 0x1_0000_0000] }]
"#,
        r#"my.toml:15: capabilities.resizable-bar.bars.0.sizes: 0x100000000 bytes are too much for content "ram", which is memory of the daemon; the largest is 0x40000000"#,
    ),
    (
        "a mask that is longer than its bytes",
        r#"[[capabilities.raw]]
id = 0x0a
bytes = [1, 2]
rw = [0, 0, 1]
"#,
        "my.toml:11: capabilities.raw.0.rw: rw has 3 bytes for a structure of 2; shorten it or give more bytes",
    ),
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
        "my.toml:16: doorbell.0.size: no write has 3 bytes; choose 1, 2, 4 or 8",
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
        "a doorbell of a mappable BAR",
        r#"[[bar]]
index = 0
kind = "memory32"
size = 0x1000
content = "ram"
mappable = true

[[doorbell]]
bar = 0
offset = 8
"#,
        "my.toml:16: doorbell.0.bar: BAR 0 is mappable, and writes to the mapping go unnoticed; choose another BAR",
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
        "my.toml:20: doorbell.1.offset: doorbell.0 is rung by the same write; give each a datamatch of its own, or remove one",
    ),
    (
        "a list that leads to what is not there",
        r#"[capabilities]
list = ["pm", "msi"]

[capabilities.pm]
"#,
        "my.toml:9: capabilities.list.1: there is no capability msi for this list; it can lead to nothing more",
    ),
    (
        "a list that leads twice to the same",
        r#"[capabilities]
list = ["pm", "pm"]

[capabilities.pm]
"#,
        "my.toml:9: capabilities.list.1: pm is in the list already; leave one",
    ),
    (
        "an extended capability in the conventional list",
        r#"[capabilities]
list = ["aer"]

[capabilities.aer]
"#,
        "my.toml:9: capabilities.list.0: there is no capability aer for this list; it can lead to nothing more",
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
        "my.toml:9: capabilities.list.0: blob has linked = false; leave one of the two out",
    ),
];

#[test]
fn a_mistake_is_told_with_its_line_its_key_and_what_would_be_right() {
    for (what, text, message) in MISTAKES {
        let whole = if text.starts_with("name") {
            text.to_owned()
        } else {
            format!("{HEAD}{text}")
        };
        let error = parse(&whole, &[]).expect_err(what);
        assert_eq!(error.to_string(), message, "{what}");
    }
}
