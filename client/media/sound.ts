/** How long a sound is, and how loud over time. */
import type { FileHandle } from "node:fs/promises";
import { LIMITS } from "../../protocol/limits.ts";

/** Enough for any header; a `data` chunk further behind is not looked for. */
const HEADER_BYTES = 64 * 1024;
/** Samples that are looked at for one step of the waveform. */
const SAMPLES_PER_STEP = 2_000;

interface WavForm {
	channels: number;
	rate: number;
	bits: number;
	dataAt: number;
	dataBytes: number;
}

/** Duration and waveform of a WAV file; nothing for one that isn't 8 or 16 bit PCM. */
export async function wavSound(file: FileHandle, size: number): Promise<{ durationMs: number; waveform: Uint8Array }> {
	const head = Buffer.alloc(Math.min(HEADER_BYTES, size));
	await file.read(head, 0, head.length, 0);
	const form = wavForm(head, size);
	if (form === undefined) return { durationMs: 0, waveform: new Uint8Array() };
	const { channels, rate, bits, dataBytes } = form;
	const frameBytes = (channels * bits) / 8;
	const frames = Math.floor(dataBytes / frameBytes);
	return { durationMs: clampMs((frames / rate) * 1000), waveform: await waveform(file, form, frames, frameBytes) };
}

/** Milliseconds of an Ogg file with Opus or Vorbis inside, from the position in its last page. */
export async function oggDurationMs(file: FileHandle, size: number): Promise<number> {
	const head = Buffer.alloc(Math.min(HEADER_BYTES, size));
	await file.read(head, 0, head.length, 0);
	const tail = Buffer.alloc(Math.min(HEADER_BYTES, size));
	await file.read(tail, 0, tail.length, size - tail.length);
	const vorbis = head.indexOf("\x01vorbis", 0, "latin1");
	const rate = vorbis === -1 ? 48_000 : vorbis + 16 <= head.length ? head.readUInt32LE(vorbis + 12) : 0;
	const page = tail.lastIndexOf("OggS", undefined, "latin1");
	if (page === -1 || page + 14 > tail.length || rate === 0) return 0;
	return clampMs((Number(tail.readBigInt64LE(page + 6)) / rate) * 1000);
}

function wavForm(head: Buffer, size: number): WavForm | undefined {
	let form: Pick<WavForm, "channels" | "rate" | "bits"> | undefined;
	for (let at = 12; at + 8 <= head.length; ) {
		const name = head.toString("latin1", at, at + 4);
		const bytes = head.readUInt32LE(at + 4);
		if (name === "fmt " && at + 24 <= head.length) {
			const [format, channels] = [head.readUInt16LE(at + 8), head.readUInt16LE(at + 10)];
			const [rate, bits] = [head.readUInt32LE(at + 12), head.readUInt16LE(at + 22)];
			if (format !== 1 || channels === 0 || channels > 8 || rate === 0 || (bits !== 8 && bits !== 16)) return undefined;
			form = { channels, rate, bits };
		}
		if (name === "data") {
			if (form === undefined) return undefined;
			return { ...form, dataAt: at + 8, dataBytes: Math.min(bytes, size - at - 8) };
		}
		at += 8 + bytes + (bytes % 2);
	}
	return undefined;
}

/** The peak of each step, of the first channel. */
async function waveform(file: FileHandle, form: WavForm, frames: number, frameBytes: number): Promise<Uint8Array> {
	const steps = Math.min(LIMITS.waveform_steps, frames);
	const peaks = new Uint8Array(steps);
	const buffer = Buffer.alloc(SAMPLES_PER_STEP * frameBytes);
	for (let step = 0; step < steps; step++) {
		const from = Math.floor((frames * step) / steps);
		const until = Math.min(Math.floor((frames * (step + 1)) / steps), from + SAMPLES_PER_STEP);
		const wanted = (until - from) * frameBytes;
		const { bytesRead } = await file.read(buffer, 0, wanted, form.dataAt + from * frameBytes);
		let peak = 0;
		for (let at = 0; at + frameBytes <= bytesRead; at += frameBytes) {
			const loudness =
				form.bits === 8 ? Math.abs(buffer.readUInt8(at) - 128) * 2 : Math.abs(buffer.readInt16LE(at)) / 128;
			peak = Math.max(peak, loudness);
		}
		peaks[step] = Math.min(255, Math.round(peak));
	}
	return peaks;
}

function clampMs(milliseconds: number): number {
	return Number.isFinite(milliseconds) ? Math.min(0xffffffff, Math.max(0, Math.round(milliseconds))) : 0;
}
