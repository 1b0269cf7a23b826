//! CSV tables, good and bad; every error names the file, the row and the column.

use flate2::{Compression, write::GzEncoder};
use osnova_data::{ArrayDataset, Column, CsvReader, DataError, Dataset, IdxReader, MissingValues, Source, TargetKind};
use proptest::prelude::*;
use std::io::Write;

fn read(reader: CsvReader, text: impl AsRef<[u8]>) -> Result<ArrayDataset, DataError> {
    reader.read_from(text.as_ref(), "table.csv")
}

fn message(reader: CsvReader, text: impl AsRef<[u8]>) -> String {
    let error = read(reader, text).unwrap_err();
    assert!(matches!(error, DataError::Table { .. }), "{error:?}");
    error.to_string()
}

#[test]
fn targets_by_name_by_index_and_last() {
    let text = "y,a,b\n1.5,2,3\n-4,5,6\n";
    let data = read(CsvReader::new().target_values(["y"]), text).unwrap();
    assert_eq!((data.features(), data.target_values()), (&[2.0, 3.0, 5.0, 6.0][..], Some(&[1.5, -4.0][..])));
    assert_eq!(data.feature_names().unwrap(), ["a", "b"]);
    let data = read(CsvReader::new().target_values([Column::Last, Column::Index(0)]), text).unwrap();
    assert_eq!(data.target_values(), Some(&[3.0, 1.5, 6.0, -4.0][..]));
    assert_eq!(data.target_kind(), TargetKind::Values { width: 2 });
    let data = read(CsvReader::new().has_header(false).target_classes(0_usize), "7,1\n5,2\n7,3\n").unwrap();
    assert_eq!((data.class_indices(), data.feature_names()), (Some(&[1, 0, 1][..]), None));
    assert_eq!(data.class_names().unwrap(), ["5", "7"]);
}

#[test]
fn numeric_labels_sort_by_value_and_text_by_letter() {
    let data = read(CsvReader::new().target_classes("y"), "x,y\n0,10\n0,9\n0,-1\n").unwrap();
    assert_eq!(
        (data.class_names().unwrap(), data.class_indices().unwrap()),
        (&["-1", "9", "10"].map(String::from)[..], &[2, 1, 0][..])
    );
    let data = read(CsvReader::new().target_classes("y"), "x,y\n0,b\n0,10\n0,a\n").unwrap();
    assert_eq!(data.class_names().unwrap(), ["10", "a", "b"]);
}

#[test]
fn fixed_classes_agree_between_files() {
    let reader = CsvReader::new().target_classes("y").classes(["no", "yes"]);
    assert_eq!(read(reader.clone(), "x,y\n1,yes\n").unwrap().class_indices(), Some(&[1][..]));
    assert_eq!(read(reader.clone(), "x,y\n1,yes\n").unwrap().class_count(), Some(2));
    let unknown = message(reader, "x,y\n1,yes\n2,maybe\n");
    assert!(unknown.starts_with("table.csv, row 3, column 2 \"y\": label \"maybe\""), "{unknown}");
    let twice = read(CsvReader::new().target_classes("y").classes(["no", "no"]), "x,y\n1,no\n").unwrap_err();
    assert!(matches!(twice, DataError::Argument { .. }), "{twice}");
}

#[test]
fn columns_are_chosen_ordered_ignored_and_categorised() {
    let text = "id,colour,size,name\n1,red,3,Ann\n2,blue,4,Bob\n3,red,5,Cy\n";
    let data = read(CsvReader::new().ignore(["id", "name"]).categorical(["colour"]), text).unwrap();
    assert_eq!(data.features(), [1.0, 3.0, 0.0, 4.0, 1.0, 5.0]);
    assert_eq!(data.categories(0).unwrap(), ["blue", "red"]);
    assert_eq!(data.categories(1), None);
    let data = read(CsvReader::new().features(["size", "id"]), text).unwrap();
    assert_eq!(
        (data.features(), data.feature_names().unwrap()),
        (&[3.0, 1.0, 4.0, 2.0, 5.0, 3.0][..], &["size", "id"].map(String::from)[..])
    );
}

#[test]
fn quotes_delimiters_blank_lines_spaces_and_byte_order_marks() {
    let text = "\u{feff}\"a; b\";y\r\n 1 ;\"two \"\"2\"\"\"\r\n\r\n3;four\r\n";
    let data = read(CsvReader::new().delimiter(b';').target_classes("y"), text).unwrap();
    assert_eq!((data.features(), data.feature_names().unwrap()), (&[1.0, 3.0][..], &["a; b".to_owned()][..]));
    assert_eq!(data.class_names().unwrap(), ["four", "two \"2\""]);
}

#[test]
fn missing_values_are_refused_or_become_nan() {
    let text = "x,y\n1,a\n,b\n?,a\nNA,b\n";
    let refused = message(CsvReader::new().target_classes("y"), text);
    assert!(refused.starts_with("table.csv, row 3, column 1 \"x\": the value is missing"), "{refused}");
    let data = read(CsvReader::new().target_classes("y").missing_values(MissingValues::Nan), text).unwrap();
    assert_eq!(data.features().iter().map(|value| value.is_nan()).collect::<Vec<_>>(), [false, true, true, true]);
    let own = CsvReader::new().missing_values(MissingValues::Nan).missing_markers(["-"]);
    assert!(read(own.clone(), "x\n-\n").unwrap().features()[0].is_nan());
    assert!(message(own, "x\nNA\n").contains("\"NA\" is not a number"));
    let target = message(CsvReader::new().target_classes("y").missing_values(MissingValues::Nan), "x,y\n1,\n");
    assert!(target.contains("row 2, column 2 \"y\": the target is missing"), "{target}");
    let category = CsvReader::new().categorical(["c"]).missing_values(MissingValues::Nan);
    let data = read(category, "c\nb\nNA\na\n").unwrap();
    assert!(data.features()[1].is_nan() && data.features()[0] == 1.0 && data.features()[2] == 0.0);
}

#[test]
fn bad_cells_are_named_by_row_and_column() {
    let bad = |text: &str| message(CsvReader::new(), text);
    assert!(bad("a,b\n1,2\n3,x4\n").starts_with("table.csv, row 3, column 2 \"b\": \"x4\" is not a number"));
    assert!(bad("a,b\n1,1e99\n").contains("row 2, column 2 \"b\": \"1e99\" is not a finite"));
    assert!(bad("a,b\n1,inf\n").contains("not a finite"));
    assert!(bad("a,b\n1,\"2,5\"\n").contains("\"2,5\" is not a number"));
    let plain = message(CsvReader::new().has_header(false), "1,2\n3,oops\n");
    assert!(plain.starts_with("table.csv, row 2, column 2: \"oops\""), "{plain}");
    let long = bad(&format!("a\n{}\n", "x".repeat(100_000)));
    assert!(long.len() < 300, "{} characters", long.len());
}

#[test]
fn ragged_rows_are_refused() {
    let short = message(CsvReader::new(), "a,b,c\n1,2,3\n4,5\n");
    assert!(short.starts_with("table.csv, row 3: the row has 2 cells, but the first line has 3"), "{short}");
    let long = message(CsvReader::new(), "a,b\n1,2\n\n3,4,5\n");
    assert!(long.contains("3 cells") && long.contains("row 4"), "{long}");
    // Rows are lines of the file, whatever ends them, and cells may span several.
    for (text, row) in [
        ("a,b\r\n1,2\r\n3\r\n", 3),
        ("a,b\r\n\r\n\r\n1,2\r\n\r\n3\r\n", 6),
        ("a,b\r1,2\r3\r", 3),
        ("\n\na,\"b\n\nb\"\n1,2\n\n3", 8),
        ("a,b\n1", 2),
    ] {
        let error = message(CsvReader::new(), text);
        assert!(error.starts_with(&format!("table.csv, row {row}: the row has 1 cells")), "{text:?}: {error}");
    }
}

#[test]
fn text_that_is_not_utf8_is_refused_where_it_matters() {
    let cell = message(CsvReader::new().target_classes("y"), b"x,y\n1,gr\xfcn\n");
    assert!(cell.starts_with("table.csv, row 2, column 2 \"y\": byte 3 of the cell is not UTF-8"), "{cell}");
    let header = message(CsvReader::new(), b"x,\xff\n1,2\n");
    assert!(header.starts_with("table.csv, row 1, column 2: byte 1"), "{header}");
    assert!(read(CsvReader::new().ignore([1]), b"x,y\n1,gr\xfcn\n").is_ok());
}

#[test]
fn empty_files_and_files_without_rows_are_refused() {
    assert!(message(CsvReader::new(), "").starts_with("table.csv: the file is empty"));
    assert!(message(CsvReader::new(), "\n\n\n").contains("the file is empty"));
    assert!(message(CsvReader::new(), "a,b\n").contains("a header but no row"));
    assert!(message(CsvReader::new().has_header(false), "").contains("empty"));
}

#[test]
fn columns_that_do_not_exist_are_refused() {
    let unknown = message(CsvReader::new().target_classes("z"), "x,y\n1,2\n");
    assert!(unknown.contains("there is no column \"z\"") && unknown.contains("x, y"), "{unknown}");
    assert!(message(CsvReader::new().target_classes("x"), "x,x\n1,2\n").contains("more than one column"));
    assert!(message(CsvReader::new().target_classes(2), "x,y\n1,2\n").contains("no column with index 2"));
    assert!(message(CsvReader::new().has_header(false).target_classes("x"), "1,2\n").contains("without a header"));
    assert!(message(CsvReader::new().target_classes("x"), "x\n1\n").contains("no column is left"));
    assert!(message(CsvReader::new().target_classes("x").features(["x"]), "x,y\n1,2\n").contains("used twice"));
    assert!(message(CsvReader::new().target_classes("x").categorical(["x"]), "x,y\n1,2\n").contains("no feature"));
    assert!(message(CsvReader::new().target_classes("x").ignore(["x"]), "x,y\n1,2\n").contains("to be ignored"));
}

#[test]
fn files_are_found_unzipped_and_recorded() {
    let directory = tempfile::tempdir().unwrap();
    let missing = CsvReader::new().read(directory.path().join("none.csv")).unwrap_err();
    assert!(matches!(missing, DataError::Io { .. }) && missing.to_string().contains("none.csv"), "{missing}");
    let path = directory.path().join("zipped.csv");
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(b"a\n1\n").unwrap();
    std::fs::write(&path, encoder.finish().unwrap()).unwrap();
    let data = CsvReader::new().read(&path).unwrap();
    assert_eq!((data.features(), data.sources()), (&[1.0][..], &[Source::of_file(&path).unwrap()][..]));
}

#[test]
fn a_zipped_bomb_stops_at_the_limit() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(b"a\n").unwrap();
    (0..1000).for_each(|_| encoder.write_all(&b"1\n".repeat(10_000)).unwrap());
    let bomb = encoder.finish().unwrap();
    let error = read(CsvReader::new().max_bytes(1_000_000), bomb).unwrap_err();
    assert!(matches!(error, DataError::TooLarge { limit: 1_000_000, .. }), "{error}");
    assert!(read(CsvReader::new().max_bytes(4), "a\n1\n").is_ok());
    // One huge cell is no way around the limit, and an error at the cut is not blamed on the file's text.
    let cell = read(CsvReader::new().max_bytes(1000), format!("a\n{}", "1".repeat(5000))).unwrap_err();
    assert!(matches!(cell, DataError::TooLarge { .. }), "{cell}");
}

#[test]
fn an_unclosed_quote_is_named_with_its_row() {
    let labels = CsvReader::new().target_classes("c");
    for (reader, text, row) in [
        (CsvReader::new().ignore(["note"]), "a,note\n1,fine\n2,\"it's\n3,x\n4,y\n5,z\n", 3),
        (labels.clone(), "a,c\n1,x\n2,\"y\n3,x\n4,y\n", 3),
        (labels.clone(), "a,c\n1,x\n2,\"", 3),
        (labels.clone(), "a,c\n1,x\n2,\"y\"\"", 3),
        (labels.clone(), "a,c\r\n1,\"x\r\nx\"\r\n2, \"y\r\n3,x\r\n", 4),
        (labels.clone(), "a,\"c\n1,x\n", 1),
        (CsvReader::new().has_header(false), "\n\n1,2\n\"3,4\n5,6", 4),
        // The quote stands in a later line than its row.
        (CsvReader::new().has_header(false).ignore([0, 1]), "\"a\nb\",\"c,1\n", 2),
        // A row that is too long anyway.
        (CsvReader::new(), "a,b\n1,2,3,\"4\n5,6\n", 2),
    ] {
        let error = message(reader, text);
        assert!(error.starts_with(&format!("table.csv, row {row}")), "{text:?}: {error}");
        assert!(error.contains(&format!("the quote opened in row {row} is never closed")), "{text:?}: {error}");
    }
    // Megabytes behind the quote: it is named before they are all kept.
    let error = message(labels, format!("a,c\n1,x\n2,\"y\n{}", "3,x\n".repeat(500_000)));
    assert!(error.contains("row 3") && error.contains("longer than 1048576 bytes"), "{error}");
    let error = message(CsvReader::new(), format!("a\n{}\n", "1".repeat(2_000_000)));
    assert!(error.starts_with("table.csv, row 2, column 1 \"a\": the cell is longer"), "{error}");
    // What is ignored may be of any length.
    let text = format!("a,note\n1,\"{}\"\n2,{}\n", "x\n".repeat(1_000_000), "y".repeat(2_000_000));
    assert_eq!(read(CsvReader::new().ignore(["note"]), text).unwrap().features(), [1.0, 2.0]);
}

#[test]
fn text_behind_a_closing_quote_is_refused() {
    for (text, row) in [
        ("a,b\n1,\"1\"2\n", 2),
        ("a,b\n1,\"1\"x\n", 2),
        ("a,b\n1,\"1\" \"2\"\n", 2),
        ("a,b\n\"1\"\"\"2,3\n", 2),
        ("a,\"b\"c\n1,2\n", 1),
        ("a,b\n1,2\n3,\"4\n\"5\n", 4),
        ("a,b\n \"Big\" Bob,2\n", 2),
    ] {
        for reader in [CsvReader::new(), CsvReader::new().ignore([1])] {
            let error = message(reader, text);
            assert!(error.starts_with(&format!("table.csv, row {row}, column")), "{text:?}: {error}");
            assert!(error.contains("text follows the quote that closes the cell"), "{text:?}: {error}");
        }
    }
    // Blanks around the quotes are no text, and a quote inside an unquoted cell is one.
    let data = read(CsvReader::new().target_classes("c"), "a,c\n \"1\" , \"x, y\"\t\n2,5\" wide\n").unwrap();
    assert_eq!(
        (data.features(), data.class_names().unwrap()),
        (&[1.0, 2.0][..], &["5\" wide", "x, y"].map(String::from)[..])
    );
}

#[test]
fn a_column_has_one_role() {
    let text = "a,y,z\n1,10,5\n2,20,6\n";
    let twice = |columns: Vec<Column>| message(CsvReader::new().target_values(columns), text);
    for columns in [
        vec!["y".into(), "y".into()],
        vec!["y".into(), Column::Index(1)],
        vec![Column::Last, "y".into(), Column::Index(2)],
    ] {
        assert!(twice(columns).contains("the column is a target twice"));
    }
    let refused = |reader: CsvReader, what: &str| {
        let error = read(reader, text).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    };
    refused(CsvReader::new().target_values(["y"]).ignore([1]), "to be ignored");
    refused(CsvReader::new().target_values(["y"]).features(["a", "y"]), "used twice");
    refused(CsvReader::new().features(["a", "a"]), "used twice");
    refused(CsvReader::new().ignore(["a"]).features(["a"]), "used twice");
    refused(CsvReader::new().target_values(["y"]).categorical(["y"]), "no feature");
    refused(CsvReader::new().ignore(["y"]).categorical(["y"]), "no feature");
    refused(CsvReader::new().categorical(["y", "y"]), "each once");
    refused(CsvReader::new().target_values(["y"]).target_classes("z"), "both `target_classes` and `target_values`");
    refused(CsvReader::new().classes(["5", "6"]), "without `target_classes`");
    refused(CsvReader::new().target_values([0_usize; 0]), "`target_values` names no column");
    refused(CsvReader::new().features([0_usize; 0]), "`features` names no column");
    for delimiter in [b'"', b'\n', b'\r', 0xa7] {
        refused(CsvReader::new().delimiter(delimiter), "the delimiter is the byte");
    }
    assert!(read(CsvReader::new().ignore(["z", "z"]).target_values(["y"]), text).is_ok());
}

#[test]
fn numbers_that_f32_does_not_hold_are_refused_unless_accepted() {
    let times = "id,t\n1,1700000001\n2,1700000050\n";
    let error = message(CsvReader::new(), times);
    assert!(error.starts_with("table.csv, row 2, column 2 \"t\": \"1700000001\" would become 1700000000"), "{error}");
    assert!(error.contains("`ignore`") && error.contains("`categorical`") && error.contains("round_to_f32"), "{error}");
    assert!(message(CsvReader::new().target_values(["t"]), times).contains("would become"));
    let rounded = read(CsvReader::new().round_to_f32(true), times).unwrap();
    assert_eq!(rounded.features(), [1.0, 1.7e9, 2.0, 1.7e9]);
    let categories = read(CsvReader::new().categorical(["t"]), times).unwrap();
    assert_eq!((categories.features(), categories.categories(1).unwrap().len()), (&[1.0, 0.0, 2.0, 1.0][..], 2));
    assert_eq!(read(CsvReader::new().ignore(["t"]), times).unwrap().features(), [1.0, 2.0]);
    assert_eq!(read(CsvReader::new().target_classes("t"), times).unwrap().class_indices().unwrap(), [0, 1]);
    // Labels are text: they stay apart whatever any float holds.
    let labels = "a,c\n0,9007199254740993\n0,9007199254740992\n0,18446744073709551617\n0,18446744073709551616\n";
    let data = read(CsvReader::new().target_classes("c"), labels).unwrap();
    assert_eq!(data.class_indices().unwrap(), [1, 0, 3, 2]);
    // Fractions round; so does what was written as an f32.
    let data = read(CsvReader::new(), "x\n0.1\n20000001.5\n1.2345678e12\n100000010\n16777216\n").unwrap();
    assert_eq!(data.features(), [0.1, 20_000_002.0, 1.2345678e12, 100_000_008.0, 16_777_216.0]);
    let both = message(CsvReader::new(), "x,y\n100000010,100000008\n1,2\n100000008,3\n");
    assert!(both.contains("row 4, column 1 \"x\": \"100000008\" would become 100000010"), "{both}");
    let tiny = message(CsvReader::new(), "p\n0.05\n1e-50\n");
    assert!(tiny.contains("row 3, column 1 \"p\": \"1e-50\" would become 0"), "{tiny}");
    assert_eq!(read(CsvReader::new().round_to_f32(true), "p\n1e-50\n").unwrap().features(), [0.0]);
    assert!(message(CsvReader::new().round_to_f32(true), "p\n1e50\n").contains("not a finite"));
}

#[test]
fn common_mistakes_are_explained() {
    let advice = |reader: CsvReader, text: &str, expected: &str| {
        let error = message(reader, text);
        assert!(error.contains(expected), "{error}");
    };
    advice(
        CsvReader::new(),
        "a,b,\n1,2,\n",
        "column 3 \"\": the value is missing. If every line ends with a delimiter",
    );
    advice(CsvReader::new().has_header(false), "1,2,\n3,4,\n", "If every line ends with a delimiter");
    let ignoring = CsvReader::new().ignore([Column::Last]);
    assert_eq!(read(ignoring, "a,b,\n1,2,\n").unwrap().features(), [1.0, 2.0]);
    advice(CsvReader::new(), "a,b\n1,2,\n", "3 cells, but the first line has 2. The row ends with a delimiter");
    advice(
        CsvReader::new(),
        "# made by x\na,b\n1,2\n",
        "2 cells, but the first line has 1. The first line looks like a comment",
    );
    advice(
        CsvReader::new(),
        "a,b\n1,2\n# half way\n3,4\n",
        "1 cells, but the first line has 2. The line looks like a comment",
    );
    advice(CsvReader::new(), "a\n1\n# half way\n3\n", "\"# half way\" is not a number. If the line is a comment");
    advice(
        CsvReader::new(),
        "a;b\n1;2\n",
        "\"1;2\" is not a number. Say what stands between the cells with `delimiter`",
    );
    advice(CsvReader::new().delimiter(b';'), "a;b\n1;2,5\n", "\"2,5\" is not a number. Write decimals with a point");
    advice(CsvReader::new(), "a,b\n1,2\nfoo\n", "1 cells, but the first line has 2. Check the delimiter");
}

#[test]
fn a_first_row_is_not_lost_as_names() {
    for (text, name) in [
        ("5.1,3.5,setosa\n4.9,3.0,setosa\n", "5.1"),
        ("-1,2\n3,4\n", "-1"),
        ("1e5,x\n1,2\n", "1e5"),
        ("0,0,5,13\n1,2,3,4\n", "0"),
        ("\n 7.5 ,b\n1,2\n", "7.5"),
    ] {
        let error = message(CsvReader::new(), text);
        assert!(
            error.contains(&format!("looks like data, not like the names of columns: it holds \"{name}\"")),
            "{error}"
        );
        // Whoever says that these are names, or that they are not, is believed.
        assert!(read(CsvReader::new().has_header(true).ignore([Column::Last]), text).is_ok());
        assert!(read(CsvReader::new().has_header(false).ignore([Column::Last]).categorical([0]), text).is_ok());
    }
    for names in ["0,1,2,3", "1990,1991,2000,2010", "a,1,1,x", "id,2001,nan,inf"] {
        assert!(read(CsvReader::new(), format!("{names}\n1,2,3,4\n")).is_ok(), "{names}");
    }
}

#[test]
fn files_of_another_kind_are_named() {
    let utf16: Vec<u8> = "a,b\n1,2\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let big: Vec<u8> = "a,b\n1,2\n".encode_utf16().flat_map(u16::to_be_bytes).collect();
    let marked = [b"\xff\xfe", &utf16[..]].concat();
    for (bytes, what) in [
        (&utf16[..], "UTF-16"),
        (&big, "UTF-16"),
        (&marked, "UTF-16"),
        (b"\x28\xb5\x2f\xfd\x04\x00", "a zstd file"),
        (b"\xfd7zXZ\0\0\x04", "an xz file"),
        (b"PK\x03\x04\x14\0", "a zip archive"),
        (b"BZh91AY&SY\x01", "a bzip2 file"),
        (b"PAR1\x15\x04", "a Parquet file"),
    ] {
        for bytes in [bytes.to_vec(), zipped(bytes)] {
            let error = message(CsvReader::new(), bytes);
            assert!(error.starts_with("table.csv: the file is") && error.contains(what), "{error}");
        }
    }
    assert!(message(CsvReader::new(), zipped(&zipped(b"a\n1\n"))).contains("gzip inside of gzip"));
}

#[test]
fn gzip_is_read_as_gzip_reads_it() {
    let content = b"a,b\n1,2\n";
    let expected = read(CsvReader::new(), content).unwrap();
    let reads = |bytes: Vec<u8>| read(CsvReader::new(), &bytes).unwrap().features().to_vec();
    for zeros in [1, 511, 100_000] {
        assert_eq!(reads([zipped(content), vec![0; zeros]].concat()), expected.features(), "{zeros} zeros");
    }
    // Members follow each other, cut anywhere, and empty ones too.
    for cut in 0..=content.len() {
        let members = [zipped(&content[..cut]), zipped(b""), zipped(&content[cut..])];
        assert_eq!(reads(members.concat()), expected.features(), "cut at {cut}");
    }
    for garbage in [&b"x"[..], b"\0\0garbage", b"\x1f\x8c", b"\x1f", b"a,b\n3,4\n"] {
        let error = read(CsvReader::new(), [&zipped(content), garbage].concat()).unwrap_err();
        assert!(matches!(error, DataError::Io { .. }), "{garbage:?}: {error}");
    }
}

fn zipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn only_regular_files_are_read() {
    let directory = tempfile::tempdir().unwrap();
    let refused = |path: &std::path::Path, what: &str| {
        for error in [
            CsvReader::new().read(path).unwrap_err(),
            IdxReader::new().read(path).unwrap_err(),
            Source::of_file(path).unwrap_err(),
        ] {
            assert!(matches!(error, DataError::Io { .. }) && error.to_string().contains(what), "{error}");
        }
    };
    refused(directory.path(), "it is a directory");
    #[cfg(unix)]
    {
        refused(std::path::Path::new("/dev/zero"), "not a regular file");
        // Nobody writes to it: opening it would wait for ever.
        let pipe = directory.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        refused(&pipe, "not a regular file");
        let link = directory.path().join("link.csv");
        std::fs::write(directory.path().join("real.csv"), "a\n1\n").unwrap();
        std::os::unix::fs::symlink("real.csv", &link).unwrap();
        assert_eq!(CsvReader::new().read(link).unwrap().features(), [1.0]);
    }
}

#[test]
fn messages_fit_a_screen_and_escape_control_characters() {
    let evil = "\u{1b}[2Jboo";
    let long = "x".repeat(900_000);
    let names: Vec<String> = (0..100_000).map(|column| format!("column_{column}")).collect();
    let wide = format!("{}\n{}1\n", names.join(","), "1,".repeat(99_999));
    let classes = CsvReader::new().target_classes("c").classes(names.clone());
    for (reader, text) in [
        (CsvReader::new().target_classes("c").classes(["x"]), format!("a,c\n1,{long}\n")),
        (CsvReader::new().target_classes("c").classes(["x"]), format!("a,c\n1,{evil}\n")),
        (classes, format!("a,c\n1,{long}\n")),
        (CsvReader::new(), format!("a,{long}\n1,z\n")),
        (CsvReader::new(), format!("a,{evil}\n1,{evil}\n")),
        (CsvReader::new().target_classes(long.clone()), "a,b\n1,2\n".to_owned()),
        (CsvReader::new().target_classes(evil), format!("{evil},{evil}\n1,2\n")),
        (CsvReader::new().target_classes("none"), wide),
        (CsvReader::new().target_classes("none"), format!("{evil},\"a\nb\"\n1,2\n")),
        (CsvReader::new(), format!("#{long}\n1,2\n")),
        (CsvReader::new(), format!("#{evil}\n1,2\n")),
        (CsvReader::new(), format!("a\n{}1.5e-99999\n", "0".repeat(900_000))),
    ] {
        let error = message(reader, text);
        assert!(error.len() < 1000, "{} bytes: {}…", error.len(), error.chars().take(200).collect::<String>());
        assert!(!error.contains(char::is_control), "{error:?}");
    }
    let twice = read(CsvReader::new().target_classes("c").classes([&long, &long]), "a,c\n").unwrap_err().to_string();
    let name = CsvReader::new().read_from("".as_bytes(), &format!("{evil}{long}")).unwrap_err().to_string();
    let missing = CsvReader::new().read(format!("/no/such\n{evil}")).unwrap_err().to_string();
    for error in [twice, name, missing] {
        assert!(error.len() < 1000 && !error.contains(char::is_control), "{} bytes", error.len());
    }
}

#[test]
fn too_many_columns_are_refused_unless_wanted() {
    let wide = |columns: usize| format!("{}1\n", "1,".repeat(columns - 1));
    let reader = || CsvReader::new().has_header(false);
    let error = message(reader(), wide((1 << 20) + 1));
    assert!(error.contains("more than 1048576 columns") && error.contains("`max_columns`"), "{error}");
    assert_eq!(read(reader(), wide(1 << 20)).unwrap().feature_count(), 1 << 20);
    assert_eq!(read(reader().max_columns(1 << 21), wide((1 << 20) + 1)).unwrap().feature_count(), (1 << 20) + 1);
    assert!(message(reader().max_columns(2), wide(3)).contains("more than 2 columns"));
    assert!(message(reader().max_columns(0), wide(1)).contains("more than 0 columns"));
}

proptest! {
    #[test]
    fn numbers_survive(rows in prop::collection::vec(prop::array::uniform3(-1e30f32..1e30), 1..20)) {
        let mut text = String::from("a,b,c\n");
        for [a, b, c] in &rows {
            text.push_str(&format!("{a},{b:e},{c}\n"));
        }
        let data = read(CsvReader::new(), text).unwrap();
        prop_assert_eq!(data.features(), rows.concat());
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), header in any::<bool>()) {
        let reader = CsvReader::new().has_header(header).target_classes(Column::Last).missing_values(MissingValues::Nan);
        if let Ok(data) = read(reader, &bytes) {
            prop_assert!(data.len() > 0);
        }
    }
}
