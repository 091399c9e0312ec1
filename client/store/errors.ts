/** Another process has the device's file open. One device is one process. */
export class DeviceInUseError extends Error {
	override readonly name = "DeviceInUseError";
	constructor(options?: ErrorOptions) {
		super("this device is in use by another process", options);
	}
}

/** The key does not open the file, or the file is not a device's. */
export class WrongKeyError extends Error {
	override readonly name = "WrongKeyError";
	constructor(options?: ErrorOptions) {
		super("the key does not open this device's file", options);
	}
}

/** The file was written by a newer version of this program. */
export class NewerStoreError extends Error {
	override readonly name = "NewerStoreError";
	constructor() {
		super("this device's file was written by a newer version");
	}
}

/** The device has no account yet. */
export class NotRegisteredError extends Error {
	override readonly name = "NotRegisteredError";
	constructor() {
		super("this device is not registered");
	}
}
