//! Pixels as a PNG file, and files as data URIs.

use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};
use std::io::{self, Write};

/// A colour by its red, green and blue parts.
pub(super) type Rgb = [u8; 3];

/// A PNG of `width` columns, row by row; in greys where every pixel is grey.
///
/// Written by hand since the format asks for little where the compression is already there (ISO/IEC 15948): a signature and
/// three chunks, rows each behind the number of their filter.
///
/// # Errors
/// The system has no memory left.
pub(super) fn encode(width: usize, pixels: &[Rgb]) -> io::Result<Vec<u8>> {
    let height = pixels.len() / width.max(1);
    let grey = pixels.iter().all(|[red, green, blue]| red == green && green == blue);
    let mut header = Vec::new();
    for side in [width, height] {
        let side = u32::try_from(side).map_err(io::Error::other)?;
        header.extend(side.to_be_bytes());
    }
    // Eight bits, grey or RGB, the only compression, the only set of filters, not interlaced.
    header.extend([8, if grey { 0 } else { 2 }, 0, 0, 0]);

    let mut data = ZlibEncoder::new(Vec::new(), Compression::default());
    let (mut line, mut above): (Vec<u8>, &[Rgb]) = (Vec::new(), &[]);
    for row in pixels.chunks(width.max(1)) {
        // Enlarged pixels repeat whole rows: as the difference to the row above they are nothing but zeros.
        let repeated = row == above;
        line.clear();
        line.push(if repeated { 2 } else { 0 });
        for pixel in row {
            let pixel = if repeated { [0; 3] } else { *pixel };
            line.extend_from_slice(&pixel[..if grey { 1 } else { 3 }]);
        }
        data.write_all(&line)?;
        above = row;
    }

    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    chunk(&mut file, *b"IHDR", &header)?;
    chunk(&mut file, *b"IDAT", &data.finish()?)?;
    chunk(&mut file, *b"IEND", &[])?;
    Ok(file)
}

fn chunk(file: &mut Vec<u8>, kind: [u8; 4], data: &[u8]) -> io::Result<()> {
    let length = u32::try_from(data.len()).map_err(io::Error::other)?;
    let mut check = Crc::new();
    check.update(&kind);
    check.update(data);
    file.extend(length.to_be_bytes());
    file.extend(kind);
    file.extend(data);
    file.extend(check.sum().to_be_bytes());
    Ok(())
}

/// A file as an address that holds it: `data:image/png;base64,…`.
pub(super) fn data_uri(media_type: &str, bytes: &[u8]) -> String {
    format!("data:{media_type};base64,{}", base64(bytes))
}

/// Three bytes to four letters, with `=` to fill up (RFC 4648).
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let bits = (0..3).fold(0, |bits, index| bits << 8 | u32::from(three.get(index).copied().unwrap_or(0)));
        for place in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * place)) as usize % 64];
            text.push(if place <= three.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Width, whether it is grey, and the samples.
    pub(in crate::plot) fn decode(file: &[u8]) -> (usize, bool, Vec<u8>) {
        let mut reader = png::Decoder::new(io::Cursor::new(file)).read_info().unwrap();
        let mut samples = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut samples).unwrap();
        reader.finish().unwrap();
        (info.width as usize, info.color_type == png::ColorType::Grayscale, samples)
    }

    #[test]
    fn base64_is_that_of_rfc_4648() {
        let expected = ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"];
        for (length, expected) in expected.into_iter().enumerate() {
            assert_eq!(base64(&b"foobar"[..length]), expected);
        }
        assert_eq!(base64(&[0xfb, 0xff, 0xbf]), "+/+/");
    }

    proptest! {
        #[test]
        fn another_decoder_reads_every_pixel(
            width in 1usize..20, rows in prop::collection::vec((any::<u8>(), any::<bool>()), 1..20), grey in any::<bool>(),
        ) {
            let mut pixels: Vec<Rgb> = Vec::new();
            for (seed, repeat) in rows {
                if repeat && !pixels.is_empty() {
                    pixels.extend_from_within(pixels.len() - width..);
                } else {
                    let value = |column: usize, part: u8| if grey { seed } else { seed ^ (column as u8).wrapping_mul(part) };
                    pixels.extend((0..width).map(|column| [1, 3, 7].map(|part| value(column, part))));
                }
            }
            let (read_width, read_grey, samples) = decode(&encode(width, &pixels).unwrap());
            prop_assert_eq!(read_width, width);
            prop_assert_eq!(read_grey, pixels.iter().all(|pixel| pixel.iter().all(|part| *part == pixel[0])));
            let expected: Vec<u8> = match read_grey {
                true => pixels.iter().map(|pixel| pixel[0]).collect(),
                false => pixels.concat(),
            };
            prop_assert_eq!(samples, expected);
        }
    }
}
