//! The client's end of exec's websockets: frames are read, counted and dropped.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;

/// Reads frames until the server closes; how many bytes of data there were.
pub(crate) fn drain(stream: &mut BufReader<UnixStream>) -> io::Result<u64> {
    let mut total = 0;
    loop {
        let mut head = [0; 2];
        match stream.read_exact(&mut head) {
            Ok(()) => {}
            // LXD may close the socket without a close frame.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(total),
            Err(error) => return Err(error),
        }
        let length = match head[1] & 0x7f {
            126 => {
                let mut wide = [0; 2];
                stream.read_exact(&mut wide)?;
                u64::from(u16::from_be_bytes(wide))
            }
            127 => {
                let mut wide = [0; 8];
                stream.read_exact(&mut wide)?;
                u64::from_be_bytes(wide)
            }
            short => u64::from(short),
        };
        let opcode = head[0] & 0x0f;
        // Text marks the end of a stream in LXD's protocol, 8 is close.
        let is_data = matches!(opcode, 0 | 2);
        skip(stream, length)?;
        if is_data {
            total += length;
        } else if opcode == 8 {
            return Ok(total);
        }
    }
}

/// Says that there will be no more frames from here.
pub(crate) fn close(stream: &mut BufReader<UnixStream>) -> io::Result<()> {
    stream.get_mut().write_all(&[0x88, 0x80, 0, 0, 0, 0])
}

fn skip(stream: &mut BufReader<UnixStream>, mut left: u64) -> io::Result<()> {
    while left > 0 {
        let available = stream.fill_buf()?.len();
        if available == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let step = available.min(usize::try_from(left).unwrap_or(usize::MAX));
        stream.consume(step);
        left -= step as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_data_of_every_length_form_and_stops_at_close() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let writer = std::thread::spawn(move || {
            theirs.write_all(&[0x82, 3, 1, 2, 3]).unwrap();
            theirs.write_all(&[0x02, 126, 1, 0]).unwrap();
            theirs.write_all(&[0; 256]).unwrap();
            theirs.write_all(&[0x80, 127, 0, 0, 0, 0, 0, 1, 0, 0]).unwrap();
            theirs.write_all(&vec![0; 65536]).unwrap();
            theirs.write_all(&[0x81, 2, b'o', b'k', 0x88, 0]).unwrap();
            theirs
        });
        assert_eq!(drain(&mut BufReader::new(ours)).unwrap(), 3 + 256 + 65536);
        writer.join().unwrap();
    }
}
