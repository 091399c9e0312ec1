CREATE TABLE `device_changes` (
	`account_id` text PRIMARY KEY NOT NULL,
	`version` integer NOT NULL,
	`requested_at_ms` integer NOT NULL
);
--> statement-breakpoint
CREATE INDEX `device_changes_by_time` ON `device_changes` (`requested_at_ms`);--> statement-breakpoint
CREATE TABLE `device_tokens` (
	`token_hash` text PRIMARY KEY NOT NULL,
	`account_id` text NOT NULL,
	`expires_at_ms` integer NOT NULL,
	`device_id` integer,
	`secret_hash` text
);
--> statement-breakpoint
CREATE INDEX `device_tokens_by_account` ON `device_tokens` (`account_id`);--> statement-breakpoint
CREATE INDEX `device_tokens_by_time` ON `device_tokens` (`expires_at_ms`);--> statement-breakpoint
CREATE TABLE `links` (
	`address_hash` text PRIMARY KEY NOT NULL,
	`expires_at_ms` integer NOT NULL,
	`ciphertext` text,
	`used` integer DEFAULT false NOT NULL
);
--> statement-breakpoint
CREATE INDEX `links_by_time` ON `links` (`expires_at_ms`);--> statement-breakpoint
CREATE TABLE `removed_devices` (
	`account_id` text NOT NULL,
	`device_id` integer NOT NULL,
	`secret_hash` text NOT NULL,
	`reason` text NOT NULL,
	`removed_at_ms` integer NOT NULL,
	PRIMARY KEY(`account_id`, `device_id`)
);
--> statement-breakpoint
CREATE INDEX `removed_devices_by_time` ON `removed_devices` (`removed_at_ms`);--> statement-breakpoint
ALTER TABLE `accounts` ADD `last_device` integer DEFAULT 1 NOT NULL;--> statement-breakpoint
ALTER TABLE `accounts` ADD `devices_version` integer DEFAULT 1 NOT NULL;--> statement-breakpoint
ALTER TABLE `devices` ADD `sealed_name` text;--> statement-breakpoint
ALTER TABLE `devices` ADD `last_seen_day` integer DEFAULT 0 NOT NULL;--> statement-breakpoint
CREATE INDEX `devices_by_last_seen` ON `devices` (`last_seen_day`);--> statement-breakpoint
UPDATE `devices` SET `last_seen_day` = unixepoch() / 86400;
