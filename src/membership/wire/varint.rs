//! Numbers of seven bits a byte, lowest first (LEB128), as `ClickHouse` and `StarRocks` write lengths.

use super::check::Reader;
use crate::error::Result;

/// Bytes that 64 bits can take.
const BYTES_MAX: u32 = 10;

/// Appends `number`.
pub(super) fn append(mut number: u64, bytes: &mut Vec<u8>) {
    while number > 0x7F {
        bytes.push(0x80 | u8::try_from(number & 0x7F).expect("seven bits"));
        number >>= 7;
    }
    bytes.push(u8::try_from(number).expect("seven bits"));
}

/// Reads a number, which must be spelled in as few bytes as it takes.
pub(super) fn read(reader: &mut Reader<'_>, what: &str) -> Result<u64> {
    let mut number = 0_u64;
    for place in 0..BYTES_MAX {
        let [byte] = reader.array(what)?;
        let bits = u64::from(byte & 0x7F);
        if bits << (7 * place) >> (7 * place) != bits {
            return Err(reader.wrong(format!("{what} takes more than 64 bits")));
        }
        number |= bits << (7 * place);
        if byte & 0x80 == 0 {
            if byte == 0 && place > 0 {
                return Err(reader.wrong(format!("{what} is spelled with a zero at its end")));
            }
            return Ok(number);
        }
    }
    Err(reader.wrong(format!("{what} takes more than 64 bits")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_one_spelling() {
        for number in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            let mut bytes = Vec::new();
            append(number, &mut bytes);
            let mut reader = Reader::named(&bytes, "a number");
            assert_eq!(read(&mut reader, "it").expect("its own bytes"), number);
            reader.finish().expect("all of them");
        }
        for bytes in [&[0x80, 0][..], &[0x80; 11], &[0xFF; 10], &[0x80], &[]] {
            assert!(read(&mut Reader::named(bytes, "a number"), "it").is_err(), "{bytes:?}");
        }
    }
}
