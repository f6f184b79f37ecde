/** A real hotel waits for days; a sample should end before its reader leaves. */
export const REMIND_AFTER = '2s';
export const ANSWER_WITHIN = '6s';
