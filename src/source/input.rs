//! A text file as UTF-8 bytes: decompressed, decoded, without a byte order mark, counted. The
//! compression is told by the first bytes, since names lie (a download may be unpacked already).

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use encoding_rs::{Decoder, DecoderResult, Encoding, UTF_8};
use flate2::bufread::MultiGzDecoder;

use super::files::SourceFile;
use super::options::{FileFormat, ReadOptions};
use super::rejects::Progress;
use crate::error::{Error, Result};

/// Bytes read from disk, or decoded, at a time.
const CHUNK_BYTES: usize = 128 * 1024;
/// Stands in for a character that could not be decoded: no valid UTF-8, so that its record is
/// rejected as a record with invalid UTF-8 is.
const UNDECODABLE: u8 = 0xff;

/// How a file is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Packing {
    Plain,
    Gzip,
    Zstd,
}

impl Packing {
    fn of(head: &[u8]) -> Self {
        match head {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            _ => Self::Plain,
        }
    }
}

/// A text file being read; yields UTF-8 unless the file is not what it claims to be.
pub(super) struct Input {
    reader: Box<dyn Read + Send>,
    shown: String,
    packing: Packing,
}

impl Input {
    /// Opens `file`; its bytes on disk are counted in `progress`.
    pub(super) fn open(
        file: &SourceFile,
        options: &ReadOptions,
        progress: Option<Arc<Progress>>,
    ) -> Result<Self> {
        let (reader, packing) = unpacked(file, progress)?;
        let mut input = Self { reader, shown: file.shown.clone(), packing };
        let mut head = [0; 3];
        let mut filled = 0;
        while filled < head.len() {
            match input.fill(&mut head[filled..])? {
                0 => break,
                read => filled += read,
            }
        }
        let (encoding, mark_bytes) = match Encoding::for_bom(&head[..filled]) {
            Some((encoding, mark_bytes)) => (encoding, mark_bytes),
            None => (declared_encoding(options), 0),
        };
        let rest = io::Cursor::new(head[mark_bytes..filled].to_vec()).chain(input.reader);
        input.reader = if encoding == UTF_8 {
            Box::new(rest)
        } else {
            Box::new(Transcoder::new(Box::new(rest), encoding))
        };
        Ok(input)
    }

    /// Reads some bytes; none at the end of the file.
    ///
    /// # Errors
    /// Where the file cannot be read, or its compressed stream is damaged or cut short.
    pub(super) fn fill(&mut self, buffer: &mut [u8]) -> Result<usize> {
        loop {
            match self.reader.read(buffer) {
                Ok(read) => return Ok(read),
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                Err(cause) => return Err(self.error(cause)),
            }
        }
    }

    /// Reads the first `bytes_max` bytes of the text, or all if there are fewer.
    pub(super) fn head(mut self, bytes_max: usize) -> Result<Vec<u8>> {
        let mut head = vec![0; bytes_max];
        let mut filled = 0;
        while filled < bytes_max {
            match self.fill(&mut head[filled..])? {
                0 => break,
                read => filled += read,
            }
        }
        head.truncate(filled);
        Ok(head)
    }

    /// The file, as the user would name it.
    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    fn error(&self, cause: io::Error) -> Error {
        if cause.raw_os_error().is_some() {
            return Error::io("read", Path::new(&self.shown), cause);
        }
        let stream = match self.packing {
            Packing::Plain => return Error::io("read", Path::new(&self.shown), cause),
            Packing::Gzip => "gzip",
            Packing::Zstd => "zstd",
        };
        let how = if cause.kind() == io::ErrorKind::UnexpectedEof {
            "ends too early".to_owned()
        } else {
            format!("is damaged ({cause})")
        };
        Error::data(format!("the {stream} stream of {} {how}", self.shown))
            .with_hint("fetch or export the file again")
            .with_cause(cause)
    }
}

/// The declared encoding, else UTF-8.
fn declared_encoding(options: &ReadOptions) -> &'static Encoding {
    let label = options.encoding.as_deref();
    label.and_then(|label| Encoding::for_label(label.as_bytes())).unwrap_or(UTF_8)
}

/// The name of the encoding that fields are read as.
pub(super) fn encoding_name(options: &ReadOptions) -> &'static str {
    declared_encoding(options).name()
}

fn unpacked(
    file: &SourceFile,
    progress: Option<Arc<Progress>>,
) -> Result<(Box<dyn Read + Send>, Packing)> {
    let failed = |cause| Error::io("read", Path::new(&file.shown), cause);
    let inner = File::open(&file.path).map_err(failed)?;
    let mut reader = BufReader::with_capacity(CHUNK_BYTES, Counted { inner, progress });
    let packing = Packing::of(reader.fill_buf().map_err(failed)?);
    let reader: Box<dyn Read + Send> = match packing {
        Packing::Plain => Box::new(reader),
        Packing::Gzip => Box::new(MultiGzDecoder::new(reader)),
        Packing::Zstd => Box::new(zstd::Decoder::with_buffer(reader).map_err(failed)?),
    };
    Ok((reader, packing))
}

/// The format of `file`: declared, else by its extension, else by its first bytes.
pub(super) fn format_of(file: &SourceFile, options: &ReadOptions) -> Result<FileFormat> {
    if let Some(format) = options.format {
        return Ok(format);
    }
    let name = file.shown.to_ascii_lowercase();
    let name = [".gz", ".zst", ".gzip", ".zstd"]
        .iter()
        .find_map(|packed| name.strip_suffix(packed))
        .unwrap_or(&name);
    match name.rsplit('/').next().unwrap_or(name).rsplit_once('.').map(|(_, extension)| extension) {
        Some("csv" | "tsv" | "txt" | "psv" | "tab" | "dat") => return Ok(FileFormat::Csv),
        Some("json" | "ndjson" | "jsonl") => return Ok(FileFormat::Ndjson),
        Some("parquet" | "pq" | "parq") => return Ok(FileFormat::Parquet),
        _ => {}
    }
    let head = Input::open(file, options, None)?.head(512)?;
    Ok(match head.trim_ascii_start() {
        [b'P', b'A', b'R', b'1', ..] => FileFormat::Parquet,
        [b'{', ..] => FileFormat::Ndjson,
        _ => FileFormat::Csv,
    })
}

/// Counts the bytes that pass.
struct Counted {
    inner: File,
    progress: Option<Arc<Progress>>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        if let Some(progress) = &self.progress {
            progress.add_bytes(read as u64);
        }
        Ok(read)
    }
}

/// Decodes to UTF-8 as it is read.
struct Transcoder {
    inner: Box<dyn Read + Send>,
    decoder: Decoder,
    encoded: Vec<u8>,
    /// The part of `encoded` still to be decoded.
    todo: std::ops::Range<usize>,
    decoded: Vec<u8>,
    /// The part of `decoded` still to be handed out.
    ready: std::ops::Range<usize>,
    at_end: bool,
    /// Whether the decoder has handed out its last.
    finished: bool,
}

impl Transcoder {
    fn new(inner: Box<dyn Read + Send>, encoding: &'static Encoding) -> Self {
        Self {
            inner,
            decoder: encoding.new_decoder_without_bom_handling(),
            encoded: vec![0; CHUNK_BYTES],
            todo: 0..0,
            decoded: vec![0; CHUNK_BYTES],
            ready: 0..0,
            at_end: false,
            finished: false,
        }
    }

    /// Decodes the next piece into `decoded`.
    fn refill(&mut self) -> io::Result<()> {
        if self.todo.is_empty() && !self.at_end {
            let read = self.inner.read(&mut self.encoded)?;
            self.todo = 0..read;
            self.at_end = read == 0;
        }
        // A byte is left free for the stand-in of a character that cannot be decoded.
        let room = self.decoded.len() - 1;
        let (result, read, written) = self.decoder.decode_to_utf8_without_replacement(
            &self.encoded[self.todo.clone()],
            &mut self.decoded[..room],
            self.at_end,
        );
        self.todo.start += read;
        self.ready = 0..written;
        match result {
            DecoderResult::Malformed(..) => {
                self.decoded[written] = UNDECODABLE;
                self.ready.end += 1;
            }
            DecoderResult::InputEmpty => self.finished = self.at_end,
            DecoderResult::OutputFull => {}
        }
        Ok(())
    }
}

impl Read for Transcoder {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.ready.is_empty() {
            if self.finished {
                return Ok(0);
            }
            self.refill()?;
        }
        let read = buffer.len().min(self.ready.len());
        buffer[..read].copy_from_slice(&self.decoded[self.ready.start..self.ready.start + read]);
        self.ready.start += read;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn file_of(bytes: &[u8]) -> (tempfile::NamedTempFile, SourceFile) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        let size = bytes.len() as u64;
        let source =
            SourceFile { path: file.path().to_path_buf(), shown: "a.csv".to_owned(), size };
        (file, source)
    }

    fn text(bytes: &[u8], encoding: Option<&str>) -> Result<String> {
        let (_file, source) = file_of(bytes);
        let options =
            ReadOptions { encoding: encoding.map(str::to_owned), ..ReadOptions::default() };
        let head = Input::open(&source, &options, None)?.head(1 << 20)?;
        Ok(String::from_utf8_lossy(&head).into_owned())
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn encodings_and_marks() {
        assert_eq!(text("\u{feff}äb".as_bytes(), None).unwrap(), "äb");
        let utf16: Vec<u8> = "\u{feff}ä\n€".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(text(&utf16, None).unwrap(), "ä\n€");
        assert_eq!(text(b"\xe4\x80", Some("windows-1252")).unwrap(), "ä€");
        assert_eq!(text(b"a\x81", Some("shift_jis")).unwrap(), "a\u{fffd}");
        assert_eq!(text(b"", Some("utf-16le")).unwrap(), "");
        assert_eq!(text(b"", None).unwrap(), "");
    }

    #[test]
    fn streams_of_many_members_are_read_whole() {
        let packed = [gzip(b"a,b\n"), gzip(b"1,2\n")].concat();
        assert_eq!(text(&packed, None).unwrap(), "a,b\n1,2\n");
        let frame = |text: &[u8]| zstd::encode_all(text, 1).unwrap();
        assert_eq!(text(&[frame(b"a\n"), frame(b"b\n")].concat(), None).unwrap(), "a\nb\n");
    }

    #[test]
    fn torn_streams_are_named() {
        let noise = (0..100_000_u32).flat_map(|it| it.wrapping_mul(2_654_435_761).to_le_bytes());
        let noise: Vec<u8> = noise.collect();
        let packed = gzip(&noise);
        let error = text(&packed[..packed.len() / 2], None).unwrap_err();
        assert_eq!(error.message(), "the gzip stream of a.csv ends too early");
        let packed = zstd::encode_all(&noise[..], 1).unwrap();
        assert!(text(&packed[..packed.len() / 2], None).unwrap_err().message().contains("a.csv"));
    }

    #[test]
    fn formats_are_told_by_name_then_by_bytes() {
        let format = |shown: &str, bytes: &[u8]| {
            let (_file, source) = file_of(bytes);
            let source = SourceFile { shown: shown.to_owned(), ..source };
            format_of(&source, &ReadOptions::default()).unwrap()
        };
        assert_eq!(format("a.CSV.gz", b""), FileFormat::Csv);
        assert_eq!(format("a.jsonl.zst", b""), FileFormat::Ndjson);
        assert_eq!(format("x.pq", b""), FileFormat::Parquet);
        assert_eq!(format("export", b" {\"a\":1}"), FileFormat::Ndjson);
        assert_eq!(format("export", b"PAR1..."), FileFormat::Parquet);
        assert_eq!(format("export.gz", &gzip(b"{}")), FileFormat::Ndjson);
        assert_eq!(format("export", b"a,b"), FileFormat::Csv);
    }
}
