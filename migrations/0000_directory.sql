CREATE TABLE `accounts` (
	`account_id` text PRIMARY KEY NOT NULL,
	`identity_key` text NOT NULL,
	`username_hash` text NOT NULL,
	`created_at_ms` integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE `deletions` (
	`account_id` text PRIMARY KEY NOT NULL,
	`requested_at_ms` integer NOT NULL
);
--> statement-breakpoint
CREATE INDEX `deletions_by_time` ON `deletions` (`requested_at_ms`);--> statement-breakpoint
CREATE TABLE `devices` (
	`account_id` text NOT NULL,
	`device_id` integer NOT NULL,
	`registration_id` integer NOT NULL,
	`secret_hash` text NOT NULL,
	`created_at_ms` integer NOT NULL,
	PRIMARY KEY(`account_id`, `device_id`)
);
--> statement-breakpoint
CREATE TABLE `usernames` (
	`username_hash` text PRIMARY KEY NOT NULL,
	`account_id` text NOT NULL,
	`reserved_at_ms` integer NOT NULL,
	`secret_hash` text NOT NULL
);
