/** Small files for tests, made on the fly. */
import { crc32, deflateSync } from "node:zlib";

/** A PNG whose header claims a size; its pixels are `rows` lines of zeros. */
export function png(width: number, height: number, rows = height): Buffer {
	const header = Buffer.alloc(13);
	header.writeUInt32BE(width, 0);
	header.writeUInt32BE(height, 4);
	header.set([8, 2, 0, 0, 0], 8);
	const pixels = deflateSync(Buffer.alloc(rows * (1 + width * 3)));
	return Buffer.concat([
		Buffer.from("\x89PNG\r\n\x1a\n", "latin1"),
		chunk("IHDR", header),
		chunk("IDAT", pixels),
		chunk("IEND", Buffer.alloc(0)),
	]);
}

/** A mono WAV file of 16 bit samples. */
export function wav(samples: Int16Array, rate = 8_000): Buffer {
	const data = Buffer.from(samples.buffer, samples.byteOffset, samples.byteLength);
	const head = Buffer.alloc(44);
	head.write("RIFF", 0, "latin1");
	head.writeUInt32LE(36 + data.length, 4);
	head.write("WAVEfmt ", 8, "latin1");
	head.writeUInt32LE(16, 16);
	head.writeUInt16LE(1, 20);
	head.writeUInt16LE(1, 22);
	head.writeUInt32LE(rate, 24);
	head.writeUInt32LE(rate * 2, 28);
	head.writeUInt16LE(2, 32);
	head.writeUInt16LE(16, 34);
	head.write("data", 36, "latin1");
	head.writeUInt32LE(data.length, 40);
	return Buffer.concat([head, data]);
}

/** The head of an MP4 of one second, 640 by 360; `mediaBytes` of media data follow it. */
export function mp4Head(mediaBytes: number): Buffer {
	const movie = Buffer.alloc(100);
	movie.writeUInt32BE(1000, 12);
	movie.writeUInt32BE(1000, 16);
	const track = Buffer.alloc(84);
	track.writeUInt16BE(640, 76);
	track.writeUInt16BE(360, 80);
	const offsets = Buffer.alloc(12);
	offsets.writeUInt32BE(1, 4);
	const boxes = (offset: number): Buffer => {
		offsets.writeUInt32BE(offset, 8);
		const table = box("stbl", box("stsd", Buffer.alloc(8)), box("stco", offsets));
		const media = box("mdia", box("mdhd", Buffer.alloc(24)), box("hdlr", Buffer.alloc(25)), box("minf", table));
		return Buffer.concat([
			box("ftyp", Buffer.from("isom\0\0\0\0isommp42", "latin1")),
			box("moov", box("mvhd", movie), box("trak", box("tkhd", track), media)),
		]);
	};
	const head = Buffer.alloc(16);
	head.writeUInt32BE(1, 0);
	head.write("mdat", 4, "latin1");
	head.writeBigUInt64BE(BigInt(mediaBytes + 16), 8);
	return Buffer.concat([boxes(boxes(0).length + 16), head]);
}

function box(name: string, ...bodies: Buffer[]): Buffer {
	const head = Buffer.alloc(8);
	head.writeUInt32BE(8 + bodies.reduce((sum, body) => sum + body.length, 0), 0);
	head.write(name, 4, "latin1");
	return Buffer.concat([head, ...bodies]);
}

function chunk(name: string, data: Buffer): Buffer {
	const body = Buffer.concat([Buffer.from(name, "latin1"), data]);
	const [length, checksum] = [Buffer.alloc(4), Buffer.alloc(4)];
	length.writeUInt32BE(data.length, 0);
	checksum.writeUInt32BE(crc32(body), 0);
	return Buffer.concat([length, body, checksum]);
}
