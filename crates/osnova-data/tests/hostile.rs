//! Readers fed with what nobody should feed them: mutated tables, headers and archives, in pieces of any size. What they
//! accept is what a naive parser makes of it; the rest is an error that fits a screen.

use flate2::{Compression, write::GzEncoder};
use osnova_data::*;
use proptest::prelude::*;
use std::io::{self, Read, Write};

/// Gives bytes in pieces of these sizes, again and again.
struct Trickle<'a> {
    bytes: &'a [u8],
    sizes: std::iter::Cycle<std::slice::Iter<'a, usize>>,
}

fn trickle<'a>(bytes: &'a [u8], sizes: &'a [usize]) -> Trickle<'a> {
    Trickle { bytes, sizes: sizes.iter().cycle() }
}

impl Read for Trickle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = self.sizes.next().map_or(1, |&size| size).min(buffer.len());
        (&mut self.bytes).take(most as u64).read(buffer)
    }
}

/// Rows of cells, or nothing where a quote is not closed or has text behind it.
///
/// As slow and plain as it can be: characters one by one, whole rows in memory.
fn naive(text: &str, delimiter: char) -> Option<Vec<Vec<String>>> {
    let mut characters = text.chars().peekable();
    let (mut rows, mut row) = (Vec::new(), Vec::new());
    let mut at_row_start = true;
    loop {
        if at_row_start {
            while characters.next_if(|character| matches!(character, '\n' | '\r')).is_some() {}
            if characters.peek().is_none() {
                return Some(rows);
            }
        }
        let mut cell = String::new();
        let is_end = |character: &char| *character == delimiter || matches!(character, '\n' | '\r');
        while let Some(blank) = characters.next_if(|character| !is_end(character) && matches!(character, ' ' | '\t')) {
            cell.push(blank);
        }
        if characters.next_if_eq(&'"').is_some() {
            cell.clear();
            loop {
                match characters.next()? {
                    '"' if characters.next_if_eq(&'"').is_some() => cell.push('"'),
                    '"' => break,
                    other => cell.push(other),
                }
            }
            while characters.next_if(|character| !is_end(character) && matches!(character, ' ' | '\t')).is_some() {}
            if characters.peek().is_some_and(|character| !is_end(character)) {
                return None;
            }
        } else {
            while let Some(character) = characters.next_if(|character| !is_end(character)) {
                cell.push(character);
            }
        }
        row.push(cell.trim().to_owned());
        let end = characters.next();
        at_row_start = end != Some(delimiter);
        if at_row_start {
            rows.push(std::mem::take(&mut row));
        }
        if end.is_none() {
            return Some(rows);
        }
    }
}

/// The cells as the reader delivers them: every column is categorical, and its labels say what was read.
fn cells(data: &ArrayDataset) -> Vec<Vec<String>> {
    let label = |(column, &value): (usize, &f32)| data.categories(column).unwrap()[value as usize].clone();
    (0..data.len()).map(|row| data.row(row).unwrap().iter().enumerate().map(label).collect()).collect()
}

/// All columns as text.
fn as_text(delimiter: u8, width: usize) -> CsvReader {
    let reader = CsvReader::new().has_header(false).delimiter(delimiter);
    reader.categorical(0..width).missing_markers([""; 0])
}

fn zipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[track_caller]
fn fits_a_screen(error: &DataError) {
    let message = error.to_string();
    assert!(message.chars().count() < 1900 && !message.contains(char::is_control), "{message:?}");
}

/// What breaks parsers.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let pieces: Vec<&[u8]> = vec![
        b"\"",
        b"\"\"",
        b",",
        b";",
        b"\n",
        b"\r",
        b"\r\n",
        b" ",
        b"\t",
        b"\0",
        b"\xef\xbb\xbf",
        b"\xff\xfe",
        b"\xff",
        b"\xc3",
        b"#",
        b"-",
        b"+",
        b".",
        b"e",
        b"1",
        b"1e39",
        b"1e-50",
        b"16777217",
        b"1e999999999999",
        b"nan",
        b"inf",
        b"NA",
        b"9999999999999999999999999999999999999999999999",
        b"\x1f\x8b",
        b"\x1b[2J",
        b"\xe2\x80\xae",
        b"a,b,c\n",
        b"0.5,2,x\n",
    ];
    prop_oneof![4 => prop::sample::select(pieces).prop_map(<[u8]>::to_vec), 1 => prop::collection::vec(any::<u8>(), 1..4)]
}

/// A valid table with some places replaced.
fn mutated(valid: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec((any::<prop::sample::Index>(), 0usize..4, piece()), 0..6).prop_map(move |changes| {
        changes.into_iter().fold(valid.clone(), |mut bytes, (place, removed, piece)| {
            let place = place.index(bytes.len() + 1);
            let end = (place + removed).min(bytes.len());
            bytes.splice(place..end, piece);
            bytes
        })
    })
}

fn table() -> impl Strategy<Value = Vec<u8>> {
    let row = ("-?[0-9]{1,3}(\\.[0-9]{1,3})?", "(\"[a-c ]{0,4}\"|[a-c]{1,3})", "-?[0-9]{1,12}");
    prop::collection::vec(row, 1..12).prop_flat_map(|rows| {
        let mut text = String::from("x,label,n\n");
        rows.iter().for_each(|(x, label, n)| text.push_str(&format!("{x},{label},{n}\n")));
        mutated(text.into_bytes())
    })
}

fn readers() -> Vec<CsvReader> {
    let reader = || CsvReader::new().max_bytes(1 << 20).max_columns(64);
    vec![
        reader(),
        reader().target_classes("label"),
        reader().target_classes(1).classes(["a", "b"]).ignore([2]),
        reader().target_values(["n"]).categorical(["label"]).missing_values(MissingValues::Nan),
        reader().has_header(false).categorical([0, 1]).round_to_f32(true),
        reader().has_header(false).ignore([Column::Index(1), Column::Last]).delimiter(b';'),
    ]
}

proptest! {
    #[test]
    fn tables_are_what_a_naive_parser_makes_of_them(
        text in "[ab1 \t,;\"\"\"\n\n\r.é]{0,40}", comma in any::<bool>(), sizes in prop::collection::vec(1usize..9, 1..4)
    ) {
        let delimiter = if comma { b',' } else { b';' };
        let expected = naive(&text, char::from(delimiter));
        let width = expected.as_ref().and_then(|rows| rows.first()).map_or(1, Vec::len);
        let result = as_text(delimiter, width).read_from(trickle(text.as_bytes(), &sizes), "t.csv");
        match (result, expected) {
            (Ok(data), Some(rows)) => prop_assert_eq!(cells(&data), rows),
            (Err(error), Some(rows)) => {
                fits_a_screen(&error);
                prop_assert!(rows.is_empty() || rows.iter().any(|row| row.len() != rows[0].len()), "{text:?}: {error}");
            }
            (Err(error), None) => fits_a_screen(&error),
            (Ok(data), None) => prop_assert!(false, "{text:?} was read as {:?}", cells(&data)),
        }
    }

    #[test]
    fn every_table_that_is_written_by_the_standard_is_read_back(
        rows in (1usize..5).prop_flat_map(|width| {
            prop::collection::vec(prop::collection::vec("[ -~\r\néß\u{1b}]{0,12}", width), 1..8)
        }),
        sizes in prop::collection::vec(1usize..50, 1..4), zip in any::<bool>(), line_end in prop::sample::select(vec!["\n", "\r\n"])
    ) {
        let quoted = |cell: &String| format!("\"{}\"", cell.replace('"', "\"\""));
        let line = |row: &Vec<String>| row.iter().map(quoted).collect::<Vec<_>>().join(",");
        let text = rows.iter().map(line).collect::<Vec<_>>().join(line_end);
        let bytes = if zip { zipped(text.as_bytes()) } else { text.into_bytes() };
        let data = as_text(b',', rows[0].len()).read_from(trickle(&bytes, &sizes), "t.csv").unwrap();
        let expected: Vec<Vec<String>> =
            rows.iter().map(|row| row.iter().map(|cell| cell.trim().to_owned()).collect()).collect();
        prop_assert_eq!(cells(&data), expected);
    }

    #[test]
    fn mutated_tables_are_read_or_refused(bytes in table(), sizes in prop::collection::vec(1usize..99, 1..4)) {
        for (number, reader) in readers().into_iter().enumerate() {
            match reader.read_from(trickle(&bytes, &sizes), "t.csv") {
                Err(error) => fits_a_screen(&error),
                Ok(data) => {
                    prop_assert!(data.len() > 0 && data.features().len() == data.len() * data.feature_count());
                    prop_assert!(data.features().iter().all(|value| value.is_finite() || (number == 3 && value.is_nan())));
                    if let Some(classes) = data.class_indices() {
                        let count = data.class_count().unwrap() as i64;
                        prop_assert!(classes.len() == data.len() && classes.iter().all(|class| (0..count).contains(class)));
                    }
                }
            }
        }
    }

    #[test]
    fn numbers_are_read_as_rust_reads_them_and_never_become_one(
        texts in prop::collection::vec(
            prop_oneof!["-?[0-9]{1,12}", "-?[0-9]{1,9}\\.[0-9]{1,3}", "17000000[0-9]{2}", "-?[0-9](\\.[0-9]{1,9})?e[0-9]", "-?[0-9](\\.[0-9]{1,9})?e[12][0-9]"], 1..20
        )
    ) {
        let mut whole = std::collections::BTreeMap::new();
        let column = texts.iter().fold(String::from("x\n"), |text, number| text + number + "\n");
        match CsvReader::new().read_from(column.as_bytes(), "t.csv") {
            Err(error) => prop_assert!(error.to_string().contains("as a 32-bit number"), "{error}"),
            Ok(data) => for (text, &value) in texts.iter().zip(data.features()) {
                prop_assert_eq!(value, text.parse::<f32>().unwrap());
                if let Ok(number) = text.parse::<i64>() {
                    let other = *whole.entry(value.abs().to_bits()).or_insert(number.abs());
                    prop_assert_eq!(other, number.abs(), "{} and {} became {}", other, number, value);
                }
            }
        }
    }

    #[test]
    fn damaged_archives_never_give_other_data(
        rows in 1usize..200, flips in prop::collection::vec((any::<prop::sample::Index>(), 0u8..8), 1..4),
        cut in any::<prop::sample::Index>(), zeros in 0usize..2000, garbage in prop::collection::vec(any::<u8>(), 1..20)
    ) {
        let text = (0..rows).map(|row| format!("{row},{}\n", row * row % 97)).collect::<String>();
        let read = |bytes: &[u8]| CsvReader::new().has_header(false).read_from(bytes, "t.csv.gz").map(|data| data.features().to_vec());
        let (whole, zip) = (read(text.as_bytes()).unwrap(), zipped(text.as_bytes()));
        let mut flipped = zip.clone();
        flips.iter().for_each(|(place, bit)| flipped[place.index(zip.len())] ^= 1 << bit);
        // A flip in the header's time or name changes nothing; any other is found, by the checksum at the latest.
        prop_assert!(read(&flipped).is_err() || read(&flipped).unwrap() == whole);
        prop_assert!(read(&zip[..cut.index(zip.len())]).is_err());
        prop_assert_eq!(read(&[&zip[..], &vec![0; zeros]].concat()).unwrap(), &whole[..]);
        prop_assert_eq!(read(&[&zip[..], &zip].concat()).unwrap(), [&whole[..], &whole].concat());
        let trailing = [&zip[..], &vec![0; zeros], &garbage].concat();
        prop_assert!(read(&trailing).is_err() || garbage.iter().all(|&byte| byte == 0));
    }

    #[test]
    fn mutated_idx_files_are_read_or_refused(
        code in prop::sample::select(vec![8u8, 9, 0x0b, 0x0c, 0x0d, 0x0e]), dims in prop::collection::vec(0u32..6, 0..5),
        changes in prop::collection::vec((0usize..32, any::<u8>()), 0..5), extra in -20isize..20, zip in any::<bool>(),
        sizes in prop::collection::vec(1usize..50, 1..4)
    ) {
        let count = dims.iter().product::<u32>() as usize;
        let size = [1, 1, 0, 2, 4, 4, 8][usize::from(code) - 8];
        let mut bytes = vec![0, 0, code, dims.len() as u8];
        dims.iter().for_each(|dim| bytes.extend(dim.to_be_bytes()));
        bytes.resize((bytes.len() + count * size).saturating_add_signed(extra), 7);
        for (place, value) in changes {
            if let Some(byte) = bytes.get_mut(place) {
                *byte = value;
            }
        }
        let bytes = if zip { zipped(&bytes) } else { bytes };
        match IdxReader::new().max_bytes(1 << 16).read_from(trickle(&bytes, &sizes), "t.idx") {
            Err(error) => fits_a_screen(&error),
            Ok((array, _)) => prop_assert_eq!(array.to_f32().len(), array.dims.iter().product::<usize>()),
        }
    }
}
