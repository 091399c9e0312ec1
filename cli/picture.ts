/** Pictures of groups and people, as people see them and programs get them. */
import type { Preview } from "../client/media/preview.ts";
import type { Parley } from "../client/parley.ts";
import type { Context } from "./context.ts";
import { sizeText } from "./message_text.ts";
import { imageProtocol, imageText, PREVIEW_SIDE } from "./terminal_image.ts";

type Picture = Parameters<Parley["files"]["pictures"]["isHere"]>[0];

/** One line; `command` saves the picture. */
export function pictureLine(picture: Picture, command: string): string {
	const { width, height, size } = picture;
	const dimensions = width > 0 && height > 0 ? `${width} × ${height}, ` : "";
	return `Picture: ${dimensions}${sizeText(Number(size))} (${command} --to FILE)`;
}

/** The object for programs, without what opens the picture. `here`: it has been fetched. */
export function pictureObject(parley: Parley, picture: Picture | undefined): Record<string, unknown> | null {
	if (picture === undefined) return null;
	const { contentType, size, width, height, thumbHash } = picture;
	const facts = { contentType, size: Number(size), width, height };
	return {
		...facts,
		thumbHash: Buffer.from(thumbHash).toString("base64"),
		here: parley.files.pictures.isHere(picture),
	};
}

/** Draws a picture where the terminal can. */
export async function showPicture(context: Context, preview: (side: number) => Promise<Preview>): Promise<void> {
	const protocol =
		context.json || context.terminal.output.isTTY !== true ? undefined : imageProtocol(context.terminal.environment);
	if (protocol !== undefined) context.terminal.out(imageText(await preview(PREVIEW_SIDE), protocol).text);
}
