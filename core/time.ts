/** The times that can be: Unix ms from 1970 on, to the last year that ISO 8601 writes in 4 digits. */
export const TIME_MS_MAX = Date.UTC(10_000, 0, 1) - 1
