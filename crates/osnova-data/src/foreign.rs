//! Recognises files that readers are given by mistake, by how they start, so that an error can say what they are.

/// A kind of file that no reader here reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Foreign {
    pub(crate) what: &'static str,
    pub(crate) advice: &'static str,
}

/// As many bytes of a file's start as decide.
pub(crate) const START: usize = 512;

const UNPACK: &str = "Unpack it first: gzip is the only compression that is read";
const CONVERT: &str = "Export the table as CSV";
const ENCODE: &str = "Save the file as UTF-8";

const MAGIC_NUMBERS: [(&[u8], &str, &str); 13] = [
    (b"\x1f\x8b", "gzip inside of gzip", "Unpack it once"),
    (b"\x28\xb5\x2f\xfd", "a zstd file", UNPACK),
    (b"\xfd7zXZ\0", "an xz file", UNPACK),
    (b"PK\x03\x04", "a zip archive (or a workbook: they are zip archives)", UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", UNPACK),
    (b"\x04\x22\x4d\x18", "an lz4 file", UNPACK),
    (b"\x1f\x9d", "a file of `compress`", UNPACK),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel workbook", CONVERT),
    (b"PAR1\x15", "a Parquet file", CONVERT),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file", CONVERT),
    (b"\x93NUMPY", "a NumPy file", CONVERT),
    (b"SQLite format 3\0", "an SQLite database", CONVERT),
    (
        b"version https://git-lfs.github.com/",
        "a pointer of Git LFS, not the file itself",
        "Fetch it with `git lfs pull`",
    ),
];

/// What a file is that starts so, if it is an archive or another binary format.
pub(crate) fn binary_format(start: &[u8]) -> Option<Foreign> {
    if let Some(&(_, what, advice)) = MAGIC_NUMBERS.iter().find(|(magic, ..)| start.starts_with(magic)) {
        return Some(Foreign { what, advice });
    }
    // These two are not told by their first bytes alone.
    if start.starts_with(b"BZh") && start.get(4..10) == Some(b"1AY&SY") {
        return Some(Foreign { what: "a bzip2 file", advice: UNPACK });
    }
    (start.get(257..262) == Some(b"ustar")).then_some(Foreign { what: "a tar archive", advice: UNPACK })
}

/// What a file is that starts so, if it is not text in UTF-8.
pub(crate) fn no_utf8_text(start: &[u8]) -> Option<Foreign> {
    let utf16 = Foreign { what: "text in UTF-16 or UTF-32", advice: ENCODE };
    if start.starts_with(b"\xff\xfe") || start.starts_with(b"\xfe\xff") || start.starts_with(b"\0\0\xfe\xff") {
        return Some(utf16);
    }
    // Latin letters, digits and delimiters are every second byte zero in UTF-16, and three of four in UTF-32, with or
    // without a byte order mark. UTF-8 has hardly a reason for a zero at all.
    let pairs = &start.as_chunks::<2>().0[..(start.len() / 2).min(32)];
    let zeros = |place: usize| pairs.iter().filter(|pair| pair[place] == 0).count();
    let (even, odd) = (zeros(0), zeros(1));
    let many = even + odd >= 2 && 4 * (even + odd) >= 2 * pairs.len();
    let is_wide = many && (even == 0 || odd == 0 || even + odd > pairs.len());
    if is_wide { Some(utf16) } else { binary_format(start) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_not_taken_for_anything_else() {
        for text in
            ["", "a", "ab", "a,b\n1,2\n", "PK,PAR1\n", "BZh,b\n", "7z,x\n", "1f8b\n", "versions,b\n", "\u{feff}a\n"]
        {
            assert_eq!(no_utf8_text(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn encodings_are_told_with_and_without_a_mark() {
        let units: Vec<u16> = "a,b\n1,2\n".encode_utf16().collect();
        let little: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        let big: Vec<u8> = units.iter().flat_map(|unit| unit.to_be_bytes()).collect();
        for start in [
            &little[..],
            &big[..],
            &little[..4],
            &[b"\xff\xfe", &little[..]].concat(),
            &[b"\xfe\xff", &big[..]].concat(),
        ] {
            assert_eq!(no_utf8_text(start).map(|foreign| foreign.advice), Some(ENCODE), "{start:?}");
        }
        let utf32: Vec<u8> = "a,b\n".chars().flat_map(|character| u32::from(character).to_le_bytes()).collect();
        assert_eq!(no_utf8_text(&utf32).map(|foreign| foreign.advice), Some(ENCODE));
        let accented: Vec<u8> = "größe,ш,λ\n1,2,3\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(no_utf8_text(&accented).map(|foreign| foreign.advice), Some(ENCODE));
    }

    #[test]
    fn archives_are_told_by_how_they_start() {
        for (magic, what, _) in MAGIC_NUMBERS {
            for start in [magic, &[magic, &[7; 600]].concat()] {
                assert_eq!(no_utf8_text(start).map(|foreign| foreign.what), Some(what), "{start:?}");
            }
        }
        assert_eq!(binary_format(b"BZh51AY&SY").map(|foreign| foreign.what), Some("a bzip2 file"));
        let mut tar = vec![b'a'; 512];
        tar[257..262].copy_from_slice(b"ustar");
        assert_eq!(binary_format(&tar).map(|foreign| foreign.what), Some("a tar archive"));
    }
}
