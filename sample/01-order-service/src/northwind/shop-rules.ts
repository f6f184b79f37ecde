/** The rules of the run: they turn Northwind's figures into a shop that runs out of some things. */
export const STOCK_FACTOR = 20;
/** Decimal text. */
export const CREDIT = '10000.00';
