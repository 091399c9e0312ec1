CREATE TABLE `reports` (
	`report_id` text PRIMARY KEY NOT NULL,
	`reporter` text NOT NULL,
	`account_id` text NOT NULL,
	`reason` text NOT NULL,
	`messages` text NOT NULL,
	`reported_at_ms` integer NOT NULL
);
--> statement-breakpoint
CREATE INDEX `reports_by_reporter` ON `reports` (`reporter`,`reported_at_ms`);--> statement-breakpoint
CREATE INDEX `reports_by_account` ON `reports` (`account_id`);--> statement-breakpoint
CREATE INDEX `reports_by_time` ON `reports` (`reported_at_ms`);--> statement-breakpoint
ALTER TABLE `usernames` ADD `discoverable` integer DEFAULT true NOT NULL;