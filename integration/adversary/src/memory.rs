//! Taking all the memory there is.

/// Beyond this nobody limits us, and the machine is worth more than the point.
const ENOUGH: usize = 4 << 30;
const PIECE: usize = 4 << 20;

/// Takes and uses memory until somebody stops it. Returns only if nobody does.
pub(crate) fn exhaust() {
    let mut pieces: Vec<Vec<u8>> = Vec::new();
    while pieces.len() * PIECE < ENOUGH {
        let mut piece = Vec::new();
        if piece.try_reserve_exact(PIECE).is_err() {
            break;
        }
        piece.resize(PIECE, 0x5a);
        pieces.push(piece);
    }
    eprintln!("nobody limits the memory of this plugin: {} MiB", (pieces.len() * PIECE) >> 20);
}
