//! Rows in a local file without a name, to be gone through more than once.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};

/// Bytes read and written at a time.
const BUFFER_BYTES: usize = 256 << 10;

/// Rows, in the order in which they came.
pub(super) struct RowsFile {
    file: BufWriter<File>,
    rows: u64,
}

impl RowsFile {
    pub(super) fn new(file: File) -> Self {
        Self { file: BufWriter::with_capacity(BUFFER_BYTES, file), rows: 0 }
    }

    pub(super) fn push(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        for part in [key, value] {
            let length = u32::try_from(part.len()).map_err(io::Error::other)?;
            self.file.write_all(&length.to_le_bytes())?;
        }
        self.file.write_all(key)?;
        self.file.write_all(value)?;
        self.rows += 1;
        Ok(())
    }

    /// Goes through all rows.
    pub(super) fn for_each<E: From<io::Error>>(
        &mut self,
        mut take: impl FnMut(&[u8], &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.file.flush()?;
        let file = self.file.get_mut();
        file.seek(SeekFrom::Start(0))?;
        let mut reader = BufReader::with_capacity(BUFFER_BYTES, &mut *file);
        let (mut key, mut value) = (Vec::new(), Vec::new());
        for _ in 0..self.rows {
            let mut lengths = [0; 8];
            reader.read_exact(&mut lengths)?;
            let [a, b, c, d, e, f, g, h] = lengths;
            for (part, length) in [(&mut key, [a, b, c, d]), (&mut value, [e, f, g, h])] {
                part.resize(u32::from_le_bytes(length) as usize, 0);
                reader.read_exact(part)?;
            }
            take(&key, &value)?;
        }
        file.seek(SeekFrom::End(0))?;
        Ok(())
    }
}
