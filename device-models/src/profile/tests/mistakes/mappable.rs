//! Mistakes in the memory that clients may map.

use super::Mistake;

pub(super) const MISTAKES: &[Mistake] = &[
    (
        "areas that are none",
        r#"[[bar]]
index = 0
kind = "memory32"
size = 0x4000
mappable = "all"
"#,
        r#"my.toml:12: bar.0.mappable: expected true, false, or areas: [{ offset = 0x1000, size = 0x1000 }]"#,
    ),
    (
        "mappable registers",
        r#"[[bar]]
index = 0
kind = "memory32"
size = 0x4000
mappable = true
"#,
        r#"my.toml:12: bar.0.mappable: only memory can be mapped; say content = "ram", name the areas that are to be memory, or leave mappable out"#,
    ),
    (
        "a mappable I/O BAR",
        r#"[[bar]]
index = 0
kind = "io"
size = 0x20
mappable = true
"#,
        r#"my.toml:12: bar.0.mappable: only memory BARs of 4096 bytes and more can be mapped; leave mappable out"#,
    ),
    (
        "a mappable BAR of less than a page",
        r#"[[bar]]
index = 0
kind = "memory32"
size = 0x800
content = "ram"
mappable = true
"#,
        r#"my.toml:13: bar.0.mappable: only memory BARs of 4096 bytes and more can be mapped; leave mappable out"#,
    ),
    (
        "no areas at all",
        r#"[[bar]]
index = 0
kind = "memory32"
size = 0x4000
mappable = []
"#,
        r#"my.toml:12: bar.0.mappable: there is no area; name one, or leave mappable out"#,
    ),
    (
        "an area that begins within a page",
        r#"[[bar]]
index = 0
kind = "memory32"
size = 0x4000
mappable = [{ offset = 0x800, size = 0x1000 }]
"#,
        r#"my.toml:12: bar.0.mappable.0.offset: 0x800 is not a whole number of pages; choose a multiple of 0x1000"#,
    ),
    (
        "an area that ends within a page",
        r#"[[bar]]
index = 0
kind = "memory32"
size = 0x4000
mappable = [{ offset = 0x1000, size = 0x800 }]
"#,
        r#"my.toml:12: bar.0.mappable.0.size: 0x800 is not a whole number of pages; choose a multiple of 0x1000"#,
    ),
    (
        "an area of nothing",
        r#"[[bar]]
index = 0
kind = "memory32"
size = 0x4000
mappable = [{ offset = 0x1000, size = 0 }]
"#,
        r#"my.toml:12: bar.0.mappable.0.size: an area of no bytes; choose 0x1000 or more, or remove it"#,
    ),
    (
        "an area that leaves its BAR",
        r#"[[bar]]
index = 0
kind = "memory32"
size = 0x4000
mappable = [{ offset = 0x1000, size = 0x4000 }]
"#,
        r#"my.toml:12: bar.0.mappable.0.size: the area ends at 0x5000, and the last place for an end is 0x4000; move it or make it smaller"#,
    ),
    (
        "areas that overlap",
        r#"[[bar]]
index = 0
kind = "memory32"
size = 0x4000
mappable = [
    { offset = 0x2000, size = 0x1000 },
    { offset = 0x1000, size = 0x2000 },
]
"#,
        r#"my.toml:14: bar.0.mappable.1.offset: this area and area 0 overlap; move one of them"#,
    ),
    (
        "an area that the smallest size of a BAR does not hold",
        r#"[[bar]]
index = 0
kind = "memory32"
size = 0x20_0000
mappable = [{ offset = 0x10_0000, size = 0x1000 }]

[capabilities.pcie]

[capabilities.resizable-bar]
bars = [{ bar = 0, sizes = [0x10_0000, 0x20_0000] }]
"#,
        r#"my.toml:12: bar.0.mappable.0.size: the area ends at 0x101000, and the last place for an end is 0x100000; move it or make it smaller"#,
    ),
    (
        "more memory beside registers than the daemon gives",
        r#"[[bar]]
index = 0
kind = "memory64"
size = 0x10_0000_0000
mappable = [{ offset = 0x4000_0000, size = 0x1000 }]
"#,
        r#"my.toml:12: bar.0.mappable.0.size: the area ends at 0x40001000, and the last place for an end is 0x40000000; move it or make it smaller"#,
    ),
    (
        "an area over the MSI-X table",
        r#"[[bar]]
index = 0
kind = "memory32"
size = 0x4000
mappable = [{ offset = 0x1000, size = 0x2000 }]

[capabilities.msix]
vectors = 4
table-bar = 0
table-offset = 0x2800
pba-offset = 0
"#,
        r#"my.toml:12: bar.0.mappable.0.offset: the MSI-X table is in the pages from 0x2000 to 0x3000, and a client that maps them cannot reach it; leave them out"#,
    ),
    (
        "an area over the PBA",
        r#"[[bar]]
index = 0
kind = "memory32"
size = 0x4000
content = "ram"
mappable = [{ offset = 0, size = 0x1000 }]

[capabilities.msix]
vectors = 4
table-bar = 0
table-offset = 0x2800
pba-offset = 0x800
"#,
        r#"my.toml:13: bar.0.mappable.0.offset: the MSI-X PBA is in the pages from 0x0 to 0x1000, and a client that maps them cannot reach it; leave them out"#,
    ),
    (
        "an area over a doorbell",
        r#"[[bar]]
index = 0
kind = "memory32"
size = 0x4000
mappable = [{ offset = 0, size = 0x1000 }]

[[doorbell]]
bar = 0
offset = 8
"#,
        r#"my.toml:12: bar.0.mappable.0.offset: a doorbell is in the pages from 0x0 to 0x1000, and a client that maps them cannot reach it; leave them out"#,
    ),
    (
        "a mappable BAR all of which is taken",
        r#"[[bar]]
index = 0
kind = "memory32"
size = 0x1000
content = "ram"
mappable = true

[capabilities.msix]
vectors = 4
table-bar = 0
table-offset = 0
pba-offset = 0x800
"#,
        r#"my.toml:13: bar.0.mappable: no page of BAR 0 is left to map, because of the MSI-X table; enlarge the BAR, or leave mappable out"#,
    ),
    (
        "an unknown key of an area",
        r#"[[bar]]
index = 0
kind = "memory32"
size = 0x4000
mappable = [{ offset = 0, length = 0x1000 }]
"#,
        r#"my.toml:12: bar.0.mappable: expected true, false, or areas: [{ offset = 0x1000, size = 0x1000 }]"#,
    ),
];
