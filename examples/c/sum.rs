//! Adds up the numbers of a float32 tensor in a dcz file, with libdcz and no crate.
//!
//!     cc -O2 -c ../../codec/c/dcz.c ../../codec/c/dcz_zstd.c && ar rcs libdcz.a dcz.o dcz_zstd.o
//!     rustc -O -L . -l static=dcz -l zstd sum.rs && ./sum model.dcz layer.weight

use std::ffi::{c_char, c_int, c_uint, c_void};

#[repr(C)]
struct Text {
    data: *const u8,
    size: usize,
}

#[repr(C)]
struct Error {
    status: c_int,
    message: [u8; 240],
}

#[repr(C)]
struct Options {
    allocate: Option<extern "C" fn(*mut c_void, usize) -> *mut c_void>,
    release: Option<extern "C" fn(*mut c_void, *mut c_void, usize)>,
    allocator_context: *mut c_void,
    zstd: Option<unsafe extern "C" fn(*mut c_void, *mut c_void, usize, *const c_void, usize) -> c_int>,
    zstd_context: *mut c_void,
    max_index: u64,
    max_memory: u64,
    window: usize,
}

#[repr(C)]
struct Tensor {
    name: Text,
    dtype: Text,
    shape: *const u64,
    rank: usize,
    words: u64,
    word_size: c_uint,
    size: u64,
    nonzeros: u64,
    content_crc32c: u32,
    same_as: usize,
    positions: c_uint,
    values: c_uint,
    chunk: u64,
    chunks: u64,
    entries: u64,
    group: u64,
    offset: u64,
    stored: u64,
    stored_books: u64,
    stored_positions: u64,
    codes: c_uint,
    transform: c_uint,
    base_name: Text,
    metadata: Text,
    unknown: *const c_char,
}

// dcz_describe writes a whole dcz_tensor: one that is shorter here would be written past its end.
const _: () = assert!(std::mem::size_of::<Tensor>() == 216);

enum File {}

extern "C" {
    fn dcz_zstd(context: *mut c_void, to: *mut c_void, to_size: usize, from: *const c_void, size: usize) -> c_int;
    fn dcz_open_memory(
        file: *mut *mut File,
        data: *const u8,
        size: usize,
        options: *const Options,
        error: *mut Error,
    ) -> c_int;
    fn dcz_find(file: *const File, name: *const u8, size: usize) -> usize;
    fn dcz_describe(file: *const File, tensor: usize, out: *mut Tensor, error: *mut Error) -> c_int;
    fn dcz_decode(file: *const File, tensor: usize, out: *mut f32, size: usize, error: *mut Error) -> c_int;
    fn dcz_close(file: *mut File);
}

/// An open file, whose bytes it borrows.
struct Dcz<'a> {
    file: *mut File,
    _data: &'a [u8],
}

fn check(status: c_int, error: &Error) -> Result<(), String> {
    let end = error.message.iter().position(|&c| c == 0).unwrap_or(0);
    if status == 0 { Ok(()) } else { Err(String::from_utf8_lossy(&error.message[..end]).into_owned()) }
}

impl<'a> Dcz<'a> {
    fn open(data: &'a [u8]) -> Result<Self, String> {
        let null = std::ptr::null_mut();
        let options = Options {
            allocate: None,
            release: None,
            allocator_context: null,
            zstd: Some(dcz_zstd),
            zstd_context: null,
            max_index: 0,
            max_memory: 0,
            window: 0,
        };
        let mut error = Error { status: 0, message: [0; 240] };
        let mut file = std::ptr::null_mut();
        // Safety: `data` outlives the file, and the other pointers the call.
        let status = unsafe { dcz_open_memory(&mut file, data.as_ptr(), data.len(), &options, &mut error) };
        check(status, &error)?;
        Ok(Dcz { file, _data: data })
    }

    fn float32(&self, name: &str) -> Result<Vec<f32>, String> {
        let mut error = Error { status: 0, message: [0; 240] };
        let mut tensor = std::mem::MaybeUninit::<Tensor>::uninit();
        // Safety: the file is open; dcz_describe fills `tensor` in if it returns 0, and dcz_decode all of `values`.
        unsafe {
            let number = dcz_find(self.file, name.as_ptr(), name.len());
            check(dcz_describe(self.file, number, tensor.as_mut_ptr(), &mut error), &error)?;
            let tensor = tensor.assume_init();
            if std::slice::from_raw_parts(tensor.dtype.data, tensor.dtype.size) != b"F32" {
                return Err("not float32".into());
            }
            let mut values = vec![0f32; tensor.words as usize];
            let status = dcz_decode(self.file, number, values.as_mut_ptr(), tensor.size as usize, &mut error);
            check(status, &error).map(|()| values)
        }
    }
}

impl Drop for Dcz<'_> {
    fn drop(&mut self) {
        // Safety: nothing borrowed from the file outlives it.
        unsafe { dcz_close(self.file) }
    }
}

fn main() -> Result<(), String> {
    let words: Vec<String> = std::env::args().collect();
    let data = std::fs::read(&words[1]).map_err(|error| error.to_string())?;
    let sum: f64 = Dcz::open(&data)?.float32(&words[2])?.iter().map(|&x| f64::from(x)).sum();
    println!("{sum}");
    Ok(())
}
